#pragma once

#include <checkpoint/value.h>

#include <c10/core/ScalarType.h>

#include <string>

namespace checkpoint::cli {

/// Returns the tree with all floating-point tensors in this dtype. Tensors that share memory still
/// do. The counters of an optimizer (tensors without dimensions in its state) keep their dtype,
/// because they must stay exact. `path` is the file, for error texts. Throws
/// Error(invalid_argument), with the tensor's name, if a finite number would become infinite.
Value with_dtype(Value tree, c10::ScalarType dtype, const std::string& path);

}  // namespace checkpoint::cli
