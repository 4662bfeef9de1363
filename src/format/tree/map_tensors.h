#pragma once

#include "format/tree/path.h"

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

namespace checkpoint::format {

/// A tensor's place in a tree, and the tensor at the same place of another tree.
struct TensorPlace {
  const Path& path;
  const at::Tensor* counterpart;  ///< Null if the other tree has none there.

  /// Returns the key with dots: "model.layers.0.weight".
  std::string key() const { return path.text(); }
};

/// The device of the counterpart, or `otherwise` if it has no counterpart.
inline c10::Device device_of(const TensorPlace& place, c10::Device otherwise) {
  const bool has_one = place.counterpart != nullptr && place.counterpart->defined();
  return has_one ? place.counterpart->device() : otherwise;
}

using ReplaceTensor = std::function<at::Tensor(const at::Tensor& tensor, const TensorPlace& place)>;

/// Returns the tree with each tensor replaced by what `replace` returns for it. A tensor that
/// occurs several times is replaced once, at its first place, and stays one tensor. `path` is the
/// tree's own place and begins every key. `other`, if not null, is the tree of the counterparts.
Value map_tensors(Value tree, const std::string& path, const Value* other,
                  const ReplaceTensor& replace);

/// The same, if the place does not matter.
Value map_tensors(Value tree, const std::function<at::Tensor(const at::Tensor&)>& replace);

}  // namespace checkpoint::format
