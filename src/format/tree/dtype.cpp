#include "format/tree/dtype.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <unordered_map>

namespace checkpoint::format {

std::string dtype_name(c10::ScalarType type) {
  switch (type) {
    case c10::ScalarType::Byte:
      return "uint8";
    case c10::ScalarType::Char:
      return "int8";
    case c10::ScalarType::Short:
      return "int16";
    case c10::ScalarType::Int:
      return "int32";
    case c10::ScalarType::Long:
      return "int64";
    case c10::ScalarType::Half:
      return "float16";
    case c10::ScalarType::Float:
      return "float32";
    case c10::ScalarType::Double:
      return "float64";
    case c10::ScalarType::ComplexHalf:
      return "complex32";
    case c10::ScalarType::ComplexFloat:
      return "complex64";
    case c10::ScalarType::ComplexDouble:
      return "complex128";
    case c10::ScalarType::Bool:
      return "bool";
    case c10::ScalarType::BFloat16:
      return "bfloat16";
    default:
      break;
  }
  // LibTorch's names of the rest ("Float8_e4m3fn", "UInt16") are Python's names in other case.
  std::string name = c10::toString(type);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return name;
}

std::optional<c10::ScalarType> find_dtype(std::string_view name) {
  static const auto by_name = [] {
    std::unordered_map<std::string, c10::ScalarType> dtypes;
    for (const c10::ScalarType dtype : plain_dtypes()) dtypes.emplace(dtype_name(dtype), dtype);
    return dtypes;
  }();
  const auto found = by_name.find(std::string(name));
  return found == by_name.end() ? std::nullopt : std::optional(found->second);
}

const std::vector<c10::ScalarType>& plain_dtypes() {
  // Found by their LibTorch names: older versions do not have all of them.
  static constexpr std::string_view kNames[] = {
      "Byte",
      "Char",
      "Short",
      "Int",
      "Long",
      "Half",
      "Float",
      "Double",
      "ComplexHalf",
      "ComplexFloat",
      "ComplexDouble",
      "Bool",
      "BFloat16",
      "UInt16",
      "UInt32",
      "UInt64",
      "Float8_e5m2",
      "Float8_e4m3fn",
      "Float8_e5m2fnuz",
      "Float8_e4m3fnuz",
      "Float8_e8m0fnu",
      "Float4_e2m1fn_x2",
  };
  static const std::vector<c10::ScalarType> dtypes = [] {
    std::vector<c10::ScalarType> known;
    for (int i = 0; i < static_cast<int>(c10::ScalarType::NumOptions); ++i) {
      const auto dtype = static_cast<c10::ScalarType>(i);
      const std::string_view name = c10::toString(dtype);
      if (std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames)) {
        known.push_back(dtype);
      }
    }
    return known;
  }();
  return dtypes;
}

}  // namespace checkpoint::format
