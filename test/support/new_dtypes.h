#pragma once

#include <c10/core/ScalarType.h>

#include <set>
#include <string>
#include <vector>

namespace test {

/// The dtypes that LibTorch has gained since 1.13 and whose elements are whole bytes: unsigned
/// integers of 16 to 64 bits, and fp8. None on 1.13.
inline std::vector<c10::ScalarType> new_dtypes() {
  static const std::set<std::string> kNames = {
      "UInt16",        "UInt32",          "UInt64",          "Float8_e5m2",
      "Float8_e4m3fn", "Float8_e5m2fnuz", "Float8_e4m3fnuz", "Float8_e8m0fnu"};
  std::vector<c10::ScalarType> dtypes;
  for (int i = 0; i < static_cast<int>(c10::ScalarType::NumOptions); ++i) {
    const auto dtype = static_cast<c10::ScalarType>(i);
    if (kNames.count(c10::toString(dtype)) != 0) dtypes.push_back(dtype);
  }
  return dtypes;
}

}  // namespace test
