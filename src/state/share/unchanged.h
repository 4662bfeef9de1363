#pragma once

#include "state/snapshot/capture.h"
#include "store/records/tensor_table.h"

#include <checkpoint/manifest.h>
#include <checkpoint/value.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace checkpoint::state {

/// The tensors of an earlier checkpoint, found by their keys. Cannot be copied or moved. Reading it
/// is thread-safe.
class EarlierTensors {
 public:
  explicit EarlierTensors(std::vector<store::TensorEntry> rows);
  EarlierTensors(const EarlierTensors&) = delete;
  EarlierTensors& operator=(const EarlierTensors&) = delete;

  /// Returns the rows of a key that lie in one piece and have this dtype and shape. Usually one at
  /// most: keys with dots may look alike.
  std::vector<const store::TensorEntry*> find(const std::string& key, const std::string& dtype,
                                              const std::vector<int64_t>& shape) const;

 private:
  const std::vector<store::TensorEntry> rows_;
  std::unordered_multimap<std::string_view, const store::TensorEntry*> by_key_;
};

/// What of a capture need not be written, because an earlier checkpoint has it.
struct Unchanged {
  /// Why a tensor is left out of the content file.
  enum class Kind {
    kChanged,  ///< It is not.
    kLinked,   ///< A file of the earlier checkpoint has it, and should be linked.
    /// It is unchanged too, but most of the file that has it is no longer needed. It should be
    /// written into a file with its like, which the next checkpoint can link.
    kSettled,
  };
  /// For each tensor of the capture's tree, in its order. Empty if all are kChanged.
  std::vector<Kind> kinds;
  /// For each tensor: its row in the table, without the device, unless it is kChanged. A linked one
  /// has its place in the earlier checkpoint, a settled one has none yet. Tied ones have one place.
  std::vector<store::TensorEntry> rows;
  /// The files of the earlier checkpoint that hold the linked ones.
  std::vector<std::string> files;
  /// The size of the linked tensors, and of the settled ones; tied ones count once.
  uint64_t linked_bytes = 0;
  uint64_t linked_count = 0;
  uint64_t settled_bytes = 0;
};

/// Compares the digests of a capture's tensors with those of an earlier checkpoint that has
/// `files`. The tensors must be on the host. Reads those that may be unchanged, with all cores. The
/// rules:
///
/// - A file is linked if the unchanged tensors are at least half of it. So no checkpoint is larger
///   than twice what it holds.
/// - At most kMostLinked files are linked: those that save most.
/// - Small tensors are always written: a stub would be as large.
Unchanged find_unchanged(const Capture& captured, const EarlierTensors& earlier,
                         const std::vector<FileEntry>& files);

/// Returns the tree with a stub in the place of each tensor that is not kChanged.
Value with_stubs(const Value& tree, const Unchanged& unchanged);

/// The settled tensors, to be written into a file of their own.
struct Settled {
  Dict tensors;  ///< By their keys, tied ones once.
  /// For each tensor of the tree: which of these it is, if it has settled.
  std::vector<std::optional<size_t>> index;
};
Settled settled_tensors(const Value& tree, const Unchanged& unchanged);

inline constexpr size_t kMostLinked = 8;
/// Smaller tensors are always written, in bytes.
inline constexpr uint64_t kSmallestReused = 1024;

}  // namespace checkpoint::state
