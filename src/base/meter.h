#pragma once

#include "base/user_call.h"

#include <checkpoint/transfer.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>

namespace checkpoint::base {

/// Counts the bytes that one phase has done, and reports them to on_transfer. Thread-safe.
class Meter {
 public:
  /// `on_transfer` may be empty; it must outlive the meter.
  Meter(const OnTransfer& on_transfer, Phase phase, uint64_t bytes_total)
      : on_transfer_(on_transfer), transfer_{phase, 0, bytes_total} {}

  void add(uint64_t bytes) {
    if (!on_transfer_) return;
    const std::lock_guard<std::mutex> hold(mutex_);
    transfer_.bytes_done += bytes;
    transfer_.bytes_total = std::max(transfer_.bytes_total, transfer_.bytes_done);
    call_user("the function given to on_transfer", [&] { on_transfer_(transfer_); });
  }

 private:
  const OnTransfer& on_transfer_;
  std::mutex mutex_;
  Transfer transfer_;
};

}  // namespace checkpoint::base
