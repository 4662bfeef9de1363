#pragma once

#include <checkpoint/value.h>

#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include <string>

namespace checkpoint::format {

/// The type that a list of these gets in TorchScript if nothing else is said: that of its elements
/// where they are all tensors, ints, doubles, bools or strings. An empty one is one of tensors, as
/// LBFGS's is before it has any history.
c10::TypePtr natural_element_type(const Value::List& list);

/// A none, bool, number or string as a value of TorchScript.
c10::IValue scalar_ivalue(const Value& value);

/// A value of TorchScript as a tree; its tensors are the same ones. What a tree alone would lose (a
/// dict that is not an archive, the type of an empty list, a device) becomes a pair of the type's
/// name and the content, which to_ivalue takes apart again: every value comes back with its type.
/// `path` is for the errors: Error(unsupported) for an object of a class, a named tuple and the
/// like.
Value from_ivalue(const c10::IValue& value, const std::string& path);

/// The way back. Nothing is looked up, compiled or run. Throws Error(corrupt) for a pair whose
/// content is not of its type, and for a bare dict.
c10::IValue to_ivalue(const Value& value, const std::string& path);

}  // namespace checkpoint::format
