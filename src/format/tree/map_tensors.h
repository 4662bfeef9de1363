#pragma once

#include "format/tree/path.h"

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

namespace checkpoint::format {

/// A tensor's place in a tree, and what stands at the same place of another tree.
struct TensorPlace {
  const Path& path;
  const at::Tensor* counterpart;  ///< Null where the other tree has no tensor.

  /// Dotted.
  std::string key() const { return path.text(); }
};

/// The device of the counterpart, or `otherwise` if it has no counterpart.
inline c10::Device device_of(const TensorPlace& place, c10::Device otherwise) {
  const bool has_one = place.counterpart != nullptr && place.counterpart->defined();
  return has_one ? place.counterpart->device() : otherwise;
}

using ReplaceTensor = std::function<at::Tensor(const at::Tensor& tensor, const TensorPlace& place)>;

/// The tree with each tensor replaced by what `replace` gives for it. A tensor that comes several
/// times is replaced once, at its first place: all places stay one tensor. `path` is where the tree
/// stands, for the keys; `other`, if not null, is where the counterparts come from.
Value map_tensors(Value tree, const std::string& path, const Value* other,
                  const ReplaceTensor& replace);

/// The same where the place does not matter.
Value map_tensors(Value tree, const std::function<at::Tensor(const at::Tensor&)>& replace);

}  // namespace checkpoint::format
