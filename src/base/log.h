#pragma once

#include <string>

namespace checkpoint::base {

/// Logs to spdlog's logger "torch_checkpoint" if the program has registered one, else to spdlog's
/// default logger. Never throws. Thread-safe.
void log_debug(const std::string& message) noexcept;
void log_info(const std::string& message) noexcept;
void log_warning(const std::string& message) noexcept;
void log_error(const std::string& message) noexcept;

}  // namespace checkpoint::base
