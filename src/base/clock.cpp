#include "base/clock.h"

#include <ctime>
#include <random>

namespace checkpoint::base {

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  ::gmtime_r(&now, &parts);
  char text[sizeof("2026-11-23T15:02:11Z") + 8];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return std::string(text, length);
}

std::optional<int64_t> parse_utc(const std::string& text) {
  std::tm parts = {};
  const char* const end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return ::timegm(&parts);
}

std::chrono::duration<double> monotonic_now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

std::string random_id() {
  std::random_device device;
  std::string id;
  for (int i = 0; i < 4; ++i) {
    static constexpr char kDigits[] = "0123456789abcdef";
    const unsigned bits = device();
    for (int shift = 0; shift < 16; shift += 4) id += kDigits[(bits >> shift) & 15];
  }
  return id;
}

}  // namespace checkpoint::base
