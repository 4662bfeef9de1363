#pragma once

namespace checkpoint::cli {

/// Sends what the library logs, from warnings on, to standard error: standard output belongs to the
/// commands, as scripts read it. Names in it are `printable`.
void log_to_standard_error();

}  // namespace checkpoint::cli
