// Signals that ask for a save. The handler may run between any two instructions, so it only counts;
// `save_if_due` compares the counts. There is one slot for each signal in the whole process, and
// managers that listen share it. A handler that was there before is called too.

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

// One for each signal, for the whole process. What the handler reads is written before the handler
// is in place, and stays.
struct Slot {
  std::atomic<uint64_t> arrivals{0};
  std::atomic<int> enders{0};        // How many managers want the second one to end the process.
  std::atomic<int64_t> first_at{0};  // When the first one came since the last of them began; or 0.
  struct sigaction earlier = {};
  bool in_place = false;  // Ours is the handler, or stands below one that was put over it.
  int watchers = 0;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free &&
                  std::atomic<int64_t>::is_always_lock_free &&
                  std::atomic<int>::is_always_lock_free,
              "the handler must not wait");

// A launcher in the same terminal passes on a Ctrl-C that the terminal has sent to all.
constexpr int64_t kOneWish = 250'000'000;  // Nanoseconds.

Slot slots[NSIG];
std::mutex slots_mutex;  // Not for the handler.

bool calls_something(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 ||
         (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

int64_t now() {
  struct timespec time;
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Whether this is the impatient one.
bool comes_again(Slot& slot) {
  int64_t first = 0;
  return !slot.first_at.compare_exchange_strong(first, now()) && now() - first > kOneWish;
}

// The signal is blocked while its handler runs: it ends the process when that returns.
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
  // The earlier handler finds blocked what it asked to be blocked, and its calls interrupted or
  // not.
  ours.sa_mask = slot.earlier.sa_mask;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK |
                  (calls_something(slot.earlier) ? slot.earlier.sa_flags & SA_RESTART : SA_RESTART);
  ::sigaction(signal, &ours, nullptr);
  slot.in_place = true;
}

}  // namespace

// Listens to one signal.
class SignalWatch {
 public:
  SignalWatch(int signal, bool ends) : signal_(signal), ends_(ends) {
    check(signal);
    Slot& slot = slots[signal_];
    const std::lock_guard<std::mutex> hold(slots_mutex);
    if (!slot.in_place) {
      put_in_place(signal_, slot);
    } else if (slot.watchers == 0) {
      base::log_warning("a handler for signal " + std::to_string(signal_) +
                        " was put over TorchCheckpoint's; it must call the earlier one");
    }
    ++slot.watchers;
    if (!ends_) return;
    slot.first_at = 0;  // What stopped an earlier training does not count here.
    ++slot.enders;
  }

  ~SignalWatch() {
    Slot& slot = slots[signal_];
    const std::lock_guard<std::mutex> hold(slots_mutex);
    if (ends_) --slot.enders;
    if (--slot.watchers > 0) return;
    struct sigaction current;
    // One that was put over ours calls ours, perhaps: then ours has to stay.
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
