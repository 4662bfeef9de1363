// Signals that ask for a save. The handler may run between any two instructions, so it only counts;
// `save_if_due` compares the counts. The process has one slot for each signal, and all managers
// that listen share it. The handler also calls the one that was installed before it. The last
// manager to leave puts that one back.

#include "manager/signals.h"

#include "base/log.h"

#include <checkpoint/error.h>

#include <signal.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <string>

namespace checkpoint::manager {
namespace {

// The state of one signal, for the whole process. What the handler reads is written before the
// handler is in place, and does not change afterwards.
struct Slot {
  std::atomic<uint64_t> arrivals{0};
  std::atomic<int> enders{0};        // Managers for which a second signal ends the process.
  std::atomic<int64_t> first_at{0};  // When the first came since the last of these began; or 0.
  struct sigaction earlier = {};
  bool in_place = false;  // Our handler is installed, perhaps below a later one.
  int watchers = 0;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free &&
                  std::atomic<int64_t>::is_always_lock_free &&
                  std::atomic<int>::is_always_lock_free,
              "the handler must not wait");

// The terminal sends a Ctrl-C to all its processes, and a launcher may send it on once more. Both
// together count as one.
constexpr int64_t kOneWish = 250'000'000;  // Nanoseconds.

Slot slots[NSIG];
std::mutex slots_mutex;  // The handler must not take it.

bool calls_something(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 ||
         (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

int64_t now() {
  struct timespec time;
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Returns whether this signal is a second one, and not an echo of the first.
bool comes_again(Slot& slot) {
  int64_t first = 0;
  return !slot.first_at.compare_exchange_strong(first, now()) && now() - first > kOneWish;
}

// Ends the process by the signal's default action. The signal is blocked while its handler runs, so
// this happens when the handler returns.
void end_by(int signal) {
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(signal, &standard, nullptr);
  ::raise(signal);
}

// Runs between any two instructions of the program: nothing here may allocate, lock or log.
void on_signal(int signal, siginfo_t* info, void* context) {
  const int error_number = errno;
  Slot& slot = slots[signal];
  slot.arrivals.fetch_add(1);
  if ((slot.earlier.sa_flags & SA_SIGINFO) != 0) {
    slot.earlier.sa_sigaction(signal, info, context);
  } else if (calls_something(slot.earlier)) {
    slot.earlier.sa_handler(signal);
  } else if (slot.enders > 0 && comes_again(slot)) {
    end_by(signal);
  }
  errno = error_number;
}

bool is_ours(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == on_signal;
}

void check(int signal) {
  const bool reports_a_fault = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE ||
                               signal == SIGILL || signal == SIGTRAP || signal == SIGABRT ||
                               signal == SIGSYS;
  struct sigaction current;
  if (signal <= 0 || signal >= NSIG || signal == SIGKILL || signal == SIGSTOP || reports_a_fault ||
      ::sigaction(signal, nullptr, &current) != 0) {
    throw Error(ErrorCode::kInvalidArgument,
                "signal " + std::to_string(signal) + " cannot ask for a save", "", 0,
                "Choose SIGTERM, SIGINT, SIGHUP, SIGUSR1 or SIGUSR2.");
  }
}

void put_in_place(int signal, Slot& slot) {
  ::sigaction(signal, nullptr, &slot.earlier);
  struct sigaction ours = {};
  ours.sa_sigaction = on_signal;
  // Keep what the earlier handler asked for: the signals to block, and whether system calls
  // restart.
  ours.sa_mask = slot.earlier.sa_mask;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK |
                  (calls_something(slot.earlier) ? slot.earlier.sa_flags & SA_RESTART : SA_RESTART);
  ::sigaction(signal, &ours, nullptr);
  slot.in_place = true;
}

}  // namespace

// Listens to one signal while it exists.
class SignalWatch {
 public:
  SignalWatch(int signal, bool ends) : signal_(signal), ends_(ends) {
    check(signal);
    Slot& slot = slots[signal_];
    const std::lock_guard<std::mutex> hold(slots_mutex);
    if (!slot.in_place) {
      put_in_place(signal_, slot);
    } else if (slot.watchers == 0) {
      base::log_warning("the program installed a handler for signal " + std::to_string(signal_) +
                        " over TorchCheckpoint's. Make it call the earlier handler.");
    }
    ++slot.watchers;
    if (!ends_) return;
    slot.first_at = 0;  // A signal that stopped an earlier training does not count.
    ++slot.enders;
  }

  ~SignalWatch() {
    Slot& slot = slots[signal_];
    const std::lock_guard<std::mutex> hold(slots_mutex);
    if (ends_) --slot.enders;
    if (--slot.watchers > 0) return;
    struct sigaction current;
    // A handler that was installed over ours may call ours, so ours has to stay.
    if (::sigaction(signal_, nullptr, &current) != 0 || !is_ours(current)) return;
    ::sigaction(signal_, &slot.earlier, nullptr);
    slot.in_place = false;
  }

  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  uint64_t arrivals() const { return slots[signal_].arrivals; }

 private:
  const int signal_;
  const bool ends_;
};

Signals::Signals(const std::vector<int>& stop, const std::vector<int>& save,
                 const std::vector<int>& end) {
  for (const int signal : stop) {
    const bool ends = std::find(end.begin(), end.end(), signal) != end.end();
    stop_.push_back(std::make_unique<SignalWatch>(signal, ends));
  }
  for (const int signal : save) save_.push_back(std::make_unique<SignalWatch>(signal, false));
  acknowledged_ = arrivals();
}

Signals::~Signals() = default;

Signals::Arrivals Signals::arrivals() const {
  Arrivals sum;
  for (const auto& watch : stop_) sum.stop += watch->arrivals();
  for (const auto& watch : save_) sum.save += watch->arrivals();
  return sum;
}

void Signals::acknowledge(const Arrivals& arrivals) {
  if (arrivals.stop != acknowledged_.stop) should_stop_ = true;
  acknowledged_ = arrivals;
}

}  // namespace checkpoint::manager
