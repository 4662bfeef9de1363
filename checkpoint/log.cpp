#include "log.h"

#include "output.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>

namespace checkpoint::cli {
namespace {

// Formats lines as spdlog does, but makes the message safe for a terminal first.
class PrintableFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& to) override {
    const std::string text =
        printable_lines(std::string(message.payload.data(), message.payload.size()));
    spdlog::details::log_msg shown = message;
    shown.payload = text;
    lines_.format(shown, to);
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<PrintableFormatter>();
  }

 private:
  spdlog::pattern_formatter lines_;
};

}  // namespace

void log_to_standard_error() {
  auto logger = spdlog::stderr_logger_mt("torch_checkpoint");
  logger->set_level(spdlog::level::warn);
  logger->set_formatter(std::make_unique<PrintableFormatter>());
}

}  // namespace checkpoint::cli
