#pragma once

#include "command.h"

namespace checkpoint::cli {

/// Returns the same action, but an exception of LibTorch becomes an Error(unsupported) without its
/// backtrace, which users of a command do not need.
Run without_backtraces(Run run);

}  // namespace checkpoint::cli
