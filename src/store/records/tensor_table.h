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
  std::string device;    ///< Where it lived: "cuda:0". The file itself holds it as a CPU tensor.
  std::string file;      ///< The file that holds its bytes.
  uint64_t offset = 0;   ///< Of its first byte in that file; 0 for an empty tensor.
  uint64_t bytes = 0;    ///< All its elements, dense.
  std::string xxh3_128;  ///< Digest of these bytes, in one piece.
};

/// tensors.json: what tensors there are and where (docs/checkpoint-layout.md).
struct TensorTable {
  std::vector<TensorEntry> tensors;
  /// For each optimizer, for each parameter group, the parameters' names in order
  /// ("model.0.weight"; empty for a parameter of no module in the State).
  std::map<std::string, std::vector<std::vector<std::string>>> optimizer_parameters;
  /// For each module item, the submodules that were in eval mode; those not named were training.
  std::map<std::string, std::vector<std::string>> eval_modules;
};

/// Writes the table, one tensor a line.
void write_tensor_table(const TensorTable& table, ByteSink& sink);
/// Reads it back. Throws Error(corrupt).
TensorTable decode_tensor_table(const std::string& text, const std::string& path);

}  // namespace checkpoint::store
