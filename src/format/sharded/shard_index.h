#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The index of a model in several files, as Hugging Face's libraries write it
// (`model.safetensors.index.json`): which tensor is in which of the files, the shards.

namespace checkpoint::format {

/// What the file names of an index end with, and those of its shards.
struct ShardKind {
  std::string_view index_end;  ///< ".safetensors.index.json"
  std::string_view shard_end;  ///< ".safetensors"
};

/// Returns the kind of an index by its name or path. Null if the name is not one of an index.
const ShardKind* index_kind(std::string_view name);
/// Returns all kinds, the preferred one first.
const std::vector<ShardKind>& shard_kinds();
/// What is added to the name of a single file ("model.safetensors") to make that of an index.
inline constexpr char kIndexEnd[] = ".index.json";

/// Returns the name of a shard: "model-00002-of-00005.safetensors" for the second of five with the
/// stem "model" and the end ".safetensors".
std::string shard_name(std::string_view stem, std::string_view end, size_t number, size_t count);
/// Returns whether `name` is such a name, with any numbers.
bool is_shard_name(std::string_view name, std::string_view stem, std::string_view end);

/// An index.
struct ShardIndex {
  /// The names of the shards, relative to the index's directory, in the order of their first
  /// mention. They are checked: none leads out of the directory.
  std::vector<std::string> shards;
  /// Each tensor's name and the position of its shard in `shards`, in the order of the index.
  std::vector<std::pair<std::string, size_t>> weights;
  /// The texts, numbers and truth values of "metadata", as texts.
  std::map<std::string, std::string> metadata;
  /// The size of all tensors, if the metadata says it as an integer. Often wrong.
  std::optional<uint64_t> total_bytes;
};

/// The largest index that is read. Real ones are below 10 MB.
inline constexpr uint64_t kMaxIndexBytes = uint64_t{64} << 20;

/// Parses an index. `path` is its path: for errors, and for the kind of its shards. Throws
/// Error(corrupt) if the text is not an index, names something twice, or names a shard outside of
/// the directory or of another kind.
ShardIndex parse_shard_index(const std::string& text, const std::string& path);

}  // namespace checkpoint::format
