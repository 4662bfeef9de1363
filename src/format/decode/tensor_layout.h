#pragma once

#include <c10/core/ScalarType.h>
#include <c10/util/ArrayRef.h>
#include <c10/util/SmallVector.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace checkpoint::format {

/// A tensor's sizes or strides. A file has them for each tensor, so a few need no memory of their
/// own.
using Dimensions = c10::SmallVector<int64_t, 5>;
inline Dimensions dimensions_of(c10::ArrayRef<int64_t> numbers) {
  return Dimensions(numbers.begin(), numbers.end());
}

/// A tensor as a file describes it. All fields are unchecked. The views are valid during the call.
struct TensorLayout {
  std::string_view storage_key;  ///< The key of its storage: "0".
  std::string_view location;     ///< The device that it was saved from: "cuda:0".
  c10::ScalarType dtype;
  int64_t storage_numel;   ///< Number of elements in the whole storage.
  int64_t storage_offset;  ///< In elements.
  Dimensions sizes;
  Dimensions strides;  ///< As many as sizes.
  bool requires_grad;
  /// The bytes of its storage, if they are inside the pickle, as a NumPy array's are. `storage_key`
  /// is then empty.
  std::shared_ptr<const std::string> bytes = {};
  bool big_endian = false;  ///< The byte order of `bytes`.
};

}  // namespace checkpoint::format
