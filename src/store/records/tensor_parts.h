#pragma once

#include "store/records/tensor_table.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace checkpoint::store {

/// Why parts do not make up a tensor.
struct PartsFault {
  enum class Kind {
    kOutside,  ///< Part `one` is empty, or reaches outside of the whole.
    kOverlap,  ///< Parts `one` and `other` overlap.
    kGap,      ///< No part has the element `at`. Empty if it was not found soon.
    kTangled,  ///< The parts are laid out so that checking them would take too long.
  };
  Kind kind;
  size_t one = 0;
  size_t other = 0;
  std::vector<int64_t> at = {};
};

/// Checks that parts lie in a tensor of `shape`, cover it, and do not overlap. Returns the first
/// fault. The shape's elements must be countable in 64 bits. For n parts of a grid, takes a time of
/// the order of n log n. At most about a second, whatever the parts are.
std::optional<PartsFault> find_fault(const std::vector<TensorPart>& parts,
                                     const std::vector<int64_t>& shape);

/// Returns a region as Python writes it: "[0:4, 8:16]".
std::string region_text(const std::vector<int64_t>& at, const std::vector<int64_t>& shape);

}  // namespace checkpoint::store
