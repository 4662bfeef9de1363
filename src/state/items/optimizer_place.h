#pragma once

#include <c10/util/FunctionRef.h>

#include <string>

namespace checkpoint::state {

/// Returns the path of a part of an optimizer in a report. It is made only if it is needed: an
/// optimizer has one for each parameter.
using OptimizerPlace = c10::function_ref<std::string()>;

}  // namespace checkpoint::state
