#pragma once

#include "state/snapshot/capture.h"
#include "store/records/tensor_table.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace checkpoint::state {

/// What a tensor of a rank's own tree is.
struct Piece {
  enum class Kind {
    kOwn,   ///< A tensor of an item that each rank has for itself.
    kPart,  ///< A shared tensor, or a part of one.
    kStub,  ///< An empty tensor, in the place of a shared one that lies elsewhere.
  };
  Kind kind = Kind::kOwn;
  size_t shared = 0;           ///< Which of `Share::shared` it belongs to, but for kOwn.
  std::vector<int64_t> at;     ///< For kPart: its first element in the whole tensor.
  std::vector<int64_t> shape;  ///< For kPart: its sizes.
};

/// What one of several ranks writes of a capture. The shared tensors are split by bytes, so that
/// each rank writes as much as the others: whole tensors, and slices of large ones. Rank 0 also
/// writes the whole tree, with stubs for what lies elsewhere. Every rank finds the same split by
/// itself.
struct Share {
  /// Its `tree` is what this rank's file holds; the rest is that of the whole capture.
  Capture captured;
  /// All shared tensors in the tree's order: key, dtype, shape, strides and device, but no place.
  std::vector<store::TensorEntry> shared;
  /// For each of `shared`: the first that is tied to it, or itself. Only that one is written.
  std::vector<size_t> first;
  /// For each tensor of `captured.tree`, in its order: what it is.
  std::vector<Piece> pieces;
  /// What must be the same on all ranks, one line for each.
  std::vector<std::string> layout;
};

/// Tensors smaller than this are never cut, in bytes.
inline constexpr uint64_t kSmallestCut = uint64_t{1} << 20;

/// Whether the layout has the digests of what ranks share, so that it differs if they do.
enum class Digests { kNo, kYes };

/// Takes a rank's share of a capture. The pieces share memory with the capture's tensors. For a
/// single rank, that is the whole capture, and all else is empty.
Share take_share(Capture captured, const Progress& progress, int64_t rank, int64_t world_size,
                 Digests digests = Digests::kNo, uint64_t smallest_cut = kSmallestCut);

/// Returns how two layouts differ: "'model.weight': float32 [2, 3] on rank 0, missing on rank 1".
/// Empty if they do not.
std::string layout_difference(const std::vector<std::string>& leader,
                              const std::vector<std::string>& own, int64_t rank);

}  // namespace checkpoint::state
