// Numbers the calls that the devices get, and lets one of them fail.

#include "device/simulated/device.h"

#include <c10/util/Exception.h>

#include <mutex>
#include <optional>

namespace simulated {
namespace {

struct Order {
  std::optional<Call> kind;  // Empty: any.
  size_t index;
  Fault fault;
};

struct Faults {
  std::mutex mutex;
  std::optional<Order> order;
  size_t passed = 0;  // How many calls the order could have meant.
  bool struck = false;
  bool lost = false;
};

Faults& faults() {
  static auto* const all = new Faults();
  return *all;
}

void begin(std::optional<Order> order) {
  Faults& now = faults();
  const std::lock_guard<std::mutex> hold(now.mutex);
  now.order = order;
  now.passed = 0;
  now.struck = now.lost = false;
}

// What the armed order means for this call, if anything.
std::optional<Fault> strike(Call call) {
  Faults& now = faults();
  const std::lock_guard<std::mutex> hold(now.mutex);
  if (now.lost) return Fault::kLost;
  if (!now.order || now.struck || (now.order->kind && *now.order->kind != call)) return {};
  if (now.passed++ != now.order->index) return {};
  now.struck = true;
  now.lost = now.order->fault == Fault::kLost;
  return now.order->fault;
}

bool can_fail_later(Call call) {
  return call == Call::kCopy || call == Call::kKernel || call == Call::kRecordEvent ||
         call == Call::kBlockStream;
}

}  // namespace

const char* name_of(Call call) {
  switch (call) {
    case Call::kAllocate:
      return "allocate";
    case Call::kAllocatePinned:
      return "allocate pinned memory";
    case Call::kCopy:
      return "copy";
    case Call::kKernel:
      return "kernel";
    case Call::kRecordEvent:
      return "record an event";
    case Call::kBlockStream:
      return "let a stream wait";
    case Call::kSynchronize:
      return "synchronize";
  }
  return "?";
}

const char* name_of(Fault fault) {
  switch (fault) {
    case Fault::kNow:
      return "fails at once";
    case Fault::kLater:
      return "fails on its way";
    case Fault::kLost:
      return "loses the device";
  }
  return "?";
}

void arm(size_t index, Fault fault) { begin(Order{{}, index, fault}); }
void arm(Call kind, size_t index, Fault fault) { begin(Order{kind, index, fault}); }
void heal() { begin({}); }

bool is_lost() {
  const std::lock_guard<std::mutex> hold(faults().mutex);
  return faults().lost;
}

bool has_struck() {
  const std::lock_guard<std::mutex> hold(faults().mutex);
  return faults().struck;
}

bool enter(Call call) {
  const std::optional<Fault> fault = strike(call);
  if (!fault) return true;
  TORCH_CHECK(*fault != Fault::kLost, "simulated device error: the device was lost");
  if (call == Call::kAllocate) {
    TORCH_CHECK_WITH(OutOfMemoryError, false, "simulated device error: out of memory, on order");
  }
  TORCH_CHECK(*fault == Fault::kLater && can_fail_later(call),
              "simulated device error: ", name_of(call));
  return false;
}

}  // namespace simulated
