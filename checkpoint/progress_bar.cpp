#include "progress_bar.h"

#include "output.h"

#include <spdlog/fmt/fmt.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace checkpoint::cli {
namespace {

constexpr auto kBetweenDrawings = std::chrono::milliseconds(100);
constexpr size_t kBarWidth = 24;
// The width of a terminal that does not report its own.
constexpr size_t kUsualWidth = 80;
constexpr char kToLineBegin[] = "\r";
constexpr char kClearLine[] = "\r\x1b[K";

size_t terminal_width() {
  winsize size{};
  const bool told = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return told ? size.ws_col : kUsualWidth;
}

// "0:07", "12:30", "1:02:03".
std::string clock_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::min(seconds, 359999.0));
  const int64_t hours = whole / 3600;
  const int64_t minutes = whole / 60 % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60)
                   : fmt::format("{}:{:02}", minutes, whole % 60);
}

}  // namespace

ProgressBar::ProgressBar(uint64_t bytes_total)
    : bytes_total_(bytes_total), on_terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressBar::show(uint64_t bytes_done) {
  const Clock::time_point now = Clock::now();
  if (!on_terminal_ || now < next_drawing_) return;
  next_drawing_ = now + kBetweenDrawings;
  drawn_ = true;
  std::fprintf(stderr, "%s%s", kToLineBegin, line(bytes_done, now).c_str());
  std::fflush(stderr);
}

void ProgressBar::clear() {
  if (!drawn_) return;
  std::fputs(kClearLine, stderr);
  std::fflush(stderr);
  drawn_ = false;
  next_drawing_ = begin_;
}

// Fills the terminal's line, so that nothing of an older one remains. Leaves out the last column,
// so that the line is not broken in two.
std::string ProgressBar::line(uint64_t bytes_done, Clock::time_point now) const {
  const double total = static_cast<double>(std::max<uint64_t>(1, bytes_total_));
  const double share = std::min(1.0, static_cast<double>(bytes_done) / total);
  const double seconds = std::chrono::duration<double>(now - begin_).count();
  const double rate = seconds > 0 ? static_cast<double>(bytes_done) / seconds : 0;
  const auto full = static_cast<size_t>(share * kBarWidth);
  std::string text =
      fmt::format("{:3.0f}% [{}{}] {} of {}, {}/s", std::floor(100 * share), std::string(full, '#'),
                  std::string(kBarWidth - full, '.'), human_bytes(bytes_done),
                  human_bytes(bytes_total_), human_bytes(static_cast<uint64_t>(rate)));
  if (rate > 0) text += ", " + clock_text((1 - share) * total / rate) + " left";
  text.resize(terminal_width() - 1, ' ');
  return text;
}

}  // namespace checkpoint::cli
