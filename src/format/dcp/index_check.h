#pragma once

#include "format/dcp/index.h"
#include "format/dcp/index_fields.h"

#include <optional>
#include <string_view>
#include <vector>

namespace checkpoint::format::dcp {

/// Returns whether a path of the index is relative and stays below its directory: no "..", no empty
/// part, no backslash.
bool stays_inside(std::string_view path);

/// Checks a tensor and its chunks: their numbers of dimensions agree, they lie inside, cover it and
/// do not overlap. Chunks without elements may lie at the end. Throws Error: corrupt, unsupported.
void check_tensor(const Entry& entry, const IndexCells& cells);

/// Gives each chunk and value its blob. Used once.
class BlobFinder {
 public:
  /// Both must outlive this. `index.entries` must be complete, and stay where they are.
  BlobFinder(Index& index, const IndexCells& cells) : index_(index), cells_(cells) {}

  /// Adds the blob of a value (`at` is empty) or of the chunk at that place. Throws Error(corrupt)
  /// if there is no such chunk, if it has a blob already, or if the blob is too small for it.
  void add(Entry& entry, const std::optional<std::vector<int64_t>>& at, const Blob& blob);
  /// Throws Error(corrupt) if a value or a chunk with elements has no blob, or if two blobs
  /// overlap.
  void finish();

 private:
  Chunk* find_chunk(Entry& entry, const std::vector<int64_t>& at);
  void check_overlap() const;

  Index& index_;
  const IndexCells& cells_;
  // The chunks of each tensor, by their place. Made when a tensor is looked up for the first time.
  std::vector<std::vector<size_t>> by_place_;
};

}  // namespace checkpoint::format::dcp
