#pragma once

#include <cstdint>
#include <functional>

namespace checkpoint {

/// What a save or a restore is doing now.
enum class Phase {
  kSnapshot,  ///< Copying the live state (asynchronous saves).
  kWrite,     ///< Writing to the disk.
  kVerify,    ///< Reading and checking digests.
  kRead,      ///< Reading into the live state.
};

/// How far a save or a restore has come.
struct Transfer {
  Phase phase;               ///< What it is doing.
  uint64_t bytes_done = 0;   ///< Bytes done in this phase.
  uint64_t bytes_total = 0;  ///< About how many bytes this phase takes.
};

/// A function that is called every few MiB, on one of this library's threads, never by two at a
/// time. It must return quickly. If it throws, the save or restore stops and throws the same
/// exception. If a restore stops in kRead this way, the live state must not be used.
using OnTransfer = std::function<void(const Transfer&)>;

}  // namespace checkpoint
