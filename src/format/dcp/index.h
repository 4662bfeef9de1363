#pragma once

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

// The index of a checkpoint of PyTorch's Distributed Checkpoint (DCP): the file `.metadata`.

namespace checkpoint::format::dcp {

/// The name of the index. Its presence commits a save.
inline constexpr char kIndexFile[] = ".metadata";

/// A step of a value's path in the tree: the key of a dict, or the index in a list.
using Step = std::variant<std::string, int64_t>;

/// Where one value, or one part of a tensor, is stored: a zip archive inside a file.
struct Blob {
  size_t file;      ///< Index in Index::files.
  uint64_t offset;  ///< In bytes.
  uint64_t bytes;   ///< More than 0.
};

/// A part of a tensor.
struct Chunk {
  std::vector<int64_t> at;     ///< Its first element in the whole tensor.
  std::vector<int64_t> sizes;  ///< As many as `at`.
  /// Index in Index::blobs. Empty only if the chunk has no elements.
  std::optional<size_t> blob = {};
};

/// A tensor or value of the checkpoint.
struct Entry {
  std::string key;
  /// Its place in the tree. Empty: below its key, at the top.
  std::vector<Step> path = {};
  bool is_tensor = false;

  /// For a tensor.
  c10::ScalarType dtype = c10::ScalarType::Undefined;
  std::vector<int64_t> sizes = {};
  std::vector<Chunk> chunks = {};

  /// For any other value: index in Index::blobs.
  std::optional<size_t> blob = {};
};

/// The whole index, checked.
struct Index {
  std::vector<Entry> entries;      ///< In the order of the file. The keys are unique.
  std::vector<Blob> blobs;         ///< They do not overlap.
  std::vector<std::string> files;  ///< Paths, relative to the directory. They lead nowhere else.
};

/// The largest index that is read, in bytes: about 350,000 parts of tensors.
constexpr uint64_t kMaxIndexBytes = uint64_t{1} << 27;

/// Decodes and checks an index that PyTorch 1.13 to 2.14 wrote. Nothing that the pickle names is
/// imported or called: only the names that such an index needs are allowed. `file` is its path, for
/// errors. Memory and time are bounded by the size of the index.
///
/// After this, each part of a tensor lies inside of it; the parts of a tensor cover it and do not
/// overlap; each has one blob, which is large enough for it. Whether the blobs lie inside of their
/// files is not checked.
///
/// Throws Error(corrupt) for an index that is damaged or contradicts itself. Throws
/// Error(unsupported) for a name that is not allowed, a field or version that this reader does not
/// know, a sparse tensor, a compressed blob, and a dtype that this LibTorch does not have.
Index read_index(std::string_view pickle, const std::string& file);

}  // namespace checkpoint::format::dcp
