#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace checkpoint::base {

/// Now, in UTC: "2026-11-23T15:02:11Z".
std::string utc_now();
/// Seconds since 1970 of such a time. Empty if it is not one.
std::optional<int64_t> parse_utc(const std::string& text);
/// The time since some moment in the past, by a clock that cannot be set.
std::chrono::duration<double> monotonic_now();
/// 16 random hexadecimal digits, other ones in a forked child.
std::string random_id();

}  // namespace checkpoint::base
