#pragma once

#include <string>

namespace checkpoint::store {

/// Now, in UTC: "2026-11-23T15:02:11Z".
std::string utc_now();
/// 16 random hexadecimal digits, other ones in a forked child.
std::string random_id();

}  // namespace checkpoint::store
