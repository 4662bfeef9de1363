#pragma once

#include "base/digest.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace checkpoint::store {

class ByteSink;

/// A part of a tensor that several files hold.
struct TensorPart {
  std::string file;
  uint64_t offset = 0;  ///< Where its first byte is in that file.
  uint64_t bytes = 0;
  base::Digest xxh3_128;
  std::vector<int64_t> at;     ///< The place of its first element in the whole tensor.
  std::vector<int64_t> shape;  ///< Its own sizes.
};

/// One tensor of a checkpoint.
struct TensorEntry {
  std::string key;    ///< Dotted: "model.conv.weight".
  std::string dtype;  ///< As Python spells it without "torch.": "float32".
  std::vector<int64_t> shape;
  std::string device;     ///< Its device when it was saved: "cuda:0". The file has a CPU tensor.
  std::string file;       ///< The file that has its bytes.
  uint64_t offset = 0;    ///< Where its first byte is in that file; 0 for an empty tensor.
  uint64_t bytes = 0;     ///< The size of all its elements, dense.
  base::Digest xxh3_128;  ///< The digest of these bytes, in one piece.
  /// If not empty, the tensor lies in several parts. `file`, `offset` and `xxh3_128` are then
  /// empty. The parts cover the whole tensor, and none overlaps another.
  std::vector<TensorPart> parts = {};
  /// Of a tensor that several ranks share, and that rank 0 has not written: its strides.
  std::vector<int64_t> strides = {};
  int64_t rank = -1;  ///< Of an item that each rank has for itself: whose it is.
};

/// What the table says of items besides their tensors, by the item's name.
struct ItemNames {
  /// For each optimizer and each parameter group: the names of the parameters, in order
  /// ("model.0.weight"). A name is empty if no module of the State has the parameter.
  std::map<std::string, std::vector<std::vector<std::string>>> optimizer_parameters;
  /// For each module item: the submodules that were in eval mode. All others were in training mode.
  std::map<std::string, std::vector<std::string>> eval_modules;
};

/// The content of tensors.json: all tensors and where they are (docs/checkpoint-layout.md).
struct TensorTable : ItemNames {
  std::vector<TensorEntry> tensors;
  /// The same of the items that each rank has for itself, by rank.
  std::map<int64_t, ItemNames> of_ranks;
};

/// Writes the table, one line for each tensor.
void write_tensor_table(const TensorTable& table, ByteSink& sink);
/// Reads the table back. `path` is for error texts. Throws Error(corrupt).
TensorTable decode_tensor_table(const std::string& text, const std::string& path);

}  // namespace checkpoint::store
