#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace checkpoint::base {

/// Returns the current time in UTC: "2026-11-23T15:02:11Z".
std::string utc_now();
/// Returns the seconds since 1970 of such a time. Empty if the text is not one.
std::optional<int64_t> parse_utc(const std::string& text);
/// Returns the time since some moment in the past, by a clock that cannot be set.
std::chrono::duration<double> monotonic_now();
/// Returns 16 random hexadecimal digits. A forked child gets other ones.
std::string random_id();

}  // namespace checkpoint::base
