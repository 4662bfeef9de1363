#include "state/forms/number.h"

#include <torch/torch.h>

#include <cmath>

namespace checkpoint::state {

Value plain_number(const Value& value) {
  if (!value.is_tensor()) return value;
  const at::Tensor& number = value.to_tensor();
  if (!number.defined() || number.numel() != 1 || number.is_complex() || number.is_meta()) {
    return value;
  }
  if (at::isIntegralType(number.scalar_type(), /*includeBool=*/false)) {
    return number.item<int64_t>();
  }
  return number.to(torch::kDouble).item<double>();
}

Value plain_count(const Value& value) {
  const Value number = plain_number(value);
  if (number.kind() != Value::Kind::kDouble) return number;
  const double real = number.to_double();
  const bool is_count = real >= -0x1p63 && real < 0x1p63 && std::trunc(real) == real;
  return is_count ? Value(static_cast<int64_t>(real)) : number;
}

Value plain_double(const Value& value) {
  const Value number = plain_number(value);
  return number.kind() == Value::Kind::kInt ? Value(number.to_double()) : number;
}

}  // namespace checkpoint::state
