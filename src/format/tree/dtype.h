#pragma once

#include <c10/core/ScalarType.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace checkpoint::format {

/// The dtype as Python spells it, without "torch.": "float32".
std::string dtype_name(c10::ScalarType type);
/// The way back, for plain_dtypes(); empty for any other name.
std::optional<c10::ScalarType> find_dtype(std::string_view name);
/// The dtypes of dense tensors that this LibTorch has: none that is quantized or packs several
/// elements into a byte.
const std::vector<c10::ScalarType>& plain_dtypes();

}  // namespace checkpoint::format
