#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace checkpoint::format {

/// A tensor as a file describes it. Nothing in it has been checked against anything; the views
/// live for the call.
struct TensorLayout {
  std::string_view storage_key;  ///< Which storage: "0".
  std::string_view location;     ///< The device that it was saved from: "cuda:0".
  c10::ScalarType dtype;
  int64_t storage_numel;   ///< Elements of the whole storage.
  int64_t storage_offset;  ///< In elements.
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;  ///< As many as sizes.
  bool requires_grad;
  /// Its storage, where the pickle itself holds it, as it does a NumPy array: `storage_key` is
  /// empty.
  std::shared_ptr<const std::string> bytes = {};
  bool big_endian = false;  ///< Of `bytes`.
};

}  // namespace checkpoint::format
