#pragma once

#include <c10/core/ScalarType.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace checkpoint::format {

/// Returns the dtype as Python spells it, without "torch.": "float32".
std::string dtype_name(c10::ScalarType type);
/// Returns the dtype of a name from plain_dtypes(); empty for any other name.
std::optional<c10::ScalarType> find_dtype(std::string_view name);
/// Returns the dtypes of dense tensors that this LibTorch has. Of those that pack several numbers
/// into a byte, only float4_e2m1fn_x2 is among them: LibTorch counts its pairs. Quantized dtypes
/// are left out.
const std::vector<c10::ScalarType>& plain_dtypes();

}  // namespace checkpoint::format
