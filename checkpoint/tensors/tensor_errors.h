#pragma once

#include "command.h"

namespace checkpoint::cli {

/// The same run, but what LibTorch throws becomes an Error(unsupported) of its first lines: whoever
/// runs a command has no use for a backtrace.
Run without_backtraces(Run run);

}  // namespace checkpoint::cli
