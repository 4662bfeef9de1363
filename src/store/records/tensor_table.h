#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace checkpoint::store {

class ByteSink;

/// One tensor of a checkpoint.
struct TensorEntry {
  std::string key;    ///< Dotted: "model.conv.weight".
  std::string dtype;  ///< As Python spells it without "torch.": "float32".
  std::vector<int64_t> shape;
  std::string device;    ///< Its device when it was saved: "cuda:0". The file has a CPU tensor.
  std::string file;      ///< The file that has its bytes.
  uint64_t offset = 0;   ///< Where its first byte is in that file; 0 for an empty tensor.
  uint64_t bytes = 0;    ///< The size of all its elements, dense.
  std::string xxh3_128;  ///< The digest of these bytes, in one piece.
};

/// The content of tensors.json: all tensors and where they are (docs/checkpoint-layout.md).
struct TensorTable {
  std::vector<TensorEntry> tensors;
  /// For each optimizer and each parameter group: the names of the parameters, in order
  /// ("model.0.weight"). A name is empty if no module of the State has the parameter.
  std::map<std::string, std::vector<std::vector<std::string>>> optimizer_parameters;
  /// For each module item: the submodules that were in eval mode. All others were in training mode.
  std::map<std::string, std::vector<std::string>> eval_modules;
};

/// Writes the table, one line for each tensor.
void write_tensor_table(const TensorTable& table, ByteSink& sink);
/// Reads the table back. `path` is for error texts. Throws Error(corrupt).
TensorTable decode_tensor_table(const std::string& text, const std::string& path);

}  // namespace checkpoint::store
