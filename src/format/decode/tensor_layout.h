#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace checkpoint::format {

/// A tensor as a file describes it. All fields are unchecked. The views are valid during the call.
struct TensorLayout {
  std::string_view storage_key;  ///< The key of its storage: "0".
  std::string_view location;     ///< The device that it was saved from: "cuda:0".
  c10::ScalarType dtype;
  int64_t storage_numel;   ///< Number of elements in the whole storage.
  int64_t storage_offset;  ///< In elements.
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;  ///< As many as sizes.
  bool requires_grad;
  /// The bytes of its storage, if they are inside the pickle, as a NumPy array's are. `storage_key`
  /// is then empty.
  std::shared_ptr<const std::string> bytes = {};
  bool big_endian = false;  ///< The byte order of `bytes`.
};

}  // namespace checkpoint::format
