#pragma once

#include "base/user_call.h"

#include <checkpoint/transfer.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>

namespace checkpoint::base {

/// Adds up what is done in one phase, and tells who wants to know. Thread-safe.
class Meter {
 public:
  /// `told` may be empty; it must outlive the meter.
  Meter(const OnTransfer& told, Phase phase, uint64_t bytes_total)
      : told_(told), transfer_{phase, 0, bytes_total} {}

  void add(uint64_t bytes) {
    if (!told_) return;
    const std::lock_guard<std::mutex> hold(mutex_);
    transfer_.bytes_done += bytes;
    transfer_.bytes_total = std::max(transfer_.bytes_total, transfer_.bytes_done);
    call_user("the function given to on_transfer", [&] { told_(transfer_); });
  }

 private:
  const OnTransfer& told_;
  std::mutex mutex_;
  Transfer transfer_;
};

}  // namespace checkpoint::base
