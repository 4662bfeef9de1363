#pragma once

#include <checkpoint/value.h>

#include <c10/core/ScalarType.h>

#include <string>

namespace checkpoint::cli {

/// The tree with each floating-point tensor in this dtype. Tensors that share memory still do.
/// An optimizer's counters, tensors without dimensions, stay as they are: they count exactly.
/// Throws Error(invalid_argument), naming the tensor, if a finite number in it would become
/// infinite.
Value with_dtype(Value tree, c10::ScalarType dtype, const std::string& path);

}  // namespace checkpoint::cli
