#pragma once

#include <cstdint>
#include <string>

namespace checkpoint::base {

/// Returns how many bytes this process can take before the system runs short of memory: what Linux
/// calls MemAvailable, or less where a control group (a container's limit, version 1 or 2) leaves
/// less. The page cache counts as free, since the system can drop it. 0 where the system does not
/// say. `root` is the folder that holds proc and sys; only tests name one. Thread-safe.
uint64_t available_memory(const std::string& root = "");

}  // namespace checkpoint::base
