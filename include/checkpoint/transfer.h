#pragma once

#include <cstdint>
#include <functional>

namespace checkpoint {

/// What a save or a restore is doing.
enum class Phase {
  kSnapshot,  ///< Copying the live state (asynchronous saves).
  kWrite,     ///< Writing to the disk.
  kVerify,    ///< Reading and checking digests.
  kRead,      ///< Reading into the live state.
};

/// How far it has come.
struct Transfer {
  Phase phase;
  uint64_t bytes_done = 0;   ///< In this phase.
  uint64_t bytes_total = 0;  ///< What it will be at the end of this phase, about.
};

/// Told of each few MiB. Called from this library's own threads, one call at a time; it should
/// return at once. What it throws ends the save or restore, which throws it in turn; a restore that
/// ends so in kRead leaves a live state that must not be used.
using OnTransfer = std::function<void(const Transfer&)>;

}  // namespace checkpoint
