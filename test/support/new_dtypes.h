#pragma once

#include <c10/core/ScalarType.h>

#include <set>
#include <string>
#include <vector>

namespace test {

/// The dtypes that LibTorch has gained since 1.13 and whose elements are whole bytes: unsigned
/// integers of 16 to 64 bits, and fp8.
inline const std::set<std::string>& names_of_new_dtypes() {
  static const std::set<std::string> kNames = {
      "UInt16",        "UInt32",          "UInt64",          "Float8_e5m2",
      "Float8_e4m3fn", "Float8_e5m2fnuz", "Float8_e4m3fnuz", "Float8_e8m0fnu"};
  return kNames;
}

/// Those of them that this LibTorch has: none in 1.13, seven in 2.6, all in 2.14.
inline std::vector<c10::ScalarType> new_dtypes() {
  std::vector<c10::ScalarType> dtypes;
  for (int i = 0; i < static_cast<int>(c10::ScalarType::NumOptions); ++i) {
    const auto dtype = static_cast<c10::ScalarType>(i);
    if (names_of_new_dtypes().count(c10::toString(dtype)) != 0) dtypes.push_back(dtype);
  }
  return dtypes;
}

}  // namespace test
