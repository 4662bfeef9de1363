#include "base/log.h"

#include <spdlog/spdlog.h>

namespace checkpoint::base {
namespace {

void log(spdlog::level::level_enum level, const std::string& message) noexcept {
  try {
    std::shared_ptr<spdlog::logger> logger = spdlog::get("torch_checkpoint");
    if (!logger) logger = spdlog::default_logger();
    if (logger) logger->log(level, message);
  } catch (...) {
    // A log that cannot be written must not stop a save.
  }
}

}  // namespace

void log_debug(const std::string& message) noexcept { log(spdlog::level::debug, message); }
void log_info(const std::string& message) noexcept { log(spdlog::level::info, message); }
void log_warning(const std::string& message) noexcept { log(spdlog::level::warn, message); }
void log_error(const std::string& message) noexcept { log(spdlog::level::err, message); }

}  // namespace checkpoint::base
