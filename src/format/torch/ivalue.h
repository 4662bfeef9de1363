#pragma once

#include <checkpoint/value.h>

#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include <string>

namespace checkpoint::format {

/// Returns the TorchScript type for the elements of a list whose type is not given. It is the
/// elements' own type, if all are tensors, ints, doubles, bools or strings. An empty list is one of
/// tensors, as LBFGS's history is before its first step.
c10::TypePtr natural_element_type(const Value::List& list);

/// Returns a none, bool, number or string as a TorchScript value.
c10::IValue scalar_ivalue(const Value& value);

/// Returns a TorchScript value as a tree, with the same tensors. A tree alone would lose some
/// types: of a dict that is not an archive, of an empty list, of a device. Such a value becomes a
/// pair: the type's name and the content. to_ivalue undoes this, so every value comes back with its
/// type. `path` is for errors. Throws Error(unsupported) for an object of a class, a named tuple
/// and the like.
Value from_ivalue(const c10::IValue& value, const std::string& path);

/// Returns the TorchScript value of such a tree. Nothing is imported, compiled or run. Throws
/// Error(corrupt) for a pair whose content does not have its type, and for a plain dict.
c10::IValue to_ivalue(const Value& value, const std::string& path);

}  // namespace checkpoint::format
