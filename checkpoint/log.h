#pragma once

namespace checkpoint::cli {

/// Sends the library's warnings and errors to standard error. Standard output is for the commands,
/// because scripts read it. Log lines are made `printable`.
void log_to_standard_error();

}  // namespace checkpoint::cli
