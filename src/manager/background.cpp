#include "manager/background.h"

#include "base/log.h"
#include "base/threads.h"
#include "base/user_call.h"

#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace checkpoint::manager {
namespace {

// If training uses all cores, this thread and each one that it starts get a tenth of a core.
constexpr int kNice = 10;

// The class "best effort" at its lowest level, in the kernel's encoding. No header defines these.
constexpr int kIoPriorityWhoProcess = 1;
constexpr int kIoPriorityLowest = (2 << 13) | 7;

// On Linux, both priorities belong to one thread, not to the process.
void lower_priority() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kNice);
  ::syscall(SYS_ioprio_set, kIoPriorityWhoProcess, 0, kIoPriorityLowest);
}

// Runs the work, logs its failure, and ends the result with it.
void carry_out(internal::SaveResult& result, const std::function<void()>& work) noexcept {
  std::exception_ptr failure;
  try {
    base::call_user("a function of the program", work);
  } catch (const std::exception& error) {
    base::log_error("the save of checkpoint '" + result.name() + "' failed: " + error.what());
    failure = std::current_exception();
  } catch (...) {
    base::log_error("the save of checkpoint '" + result.name() + "' failed");
    failure = std::current_exception();
  }
  result.end(failure);
}

}  // namespace

Background::~Background() { wait(); }

void Background::start(std::shared_ptr<internal::SaveResult> result, std::function<void()> work) {
  wait();
  last_ = std::move(result);
  process_ = ::getpid();
  try {
    thread_ = base::start_thread([result = last_, work] {
      lower_priority();
      carry_out(*result, work);
    });
  } catch (const std::system_error&) {
    carry_out(*last_, work);
  }
}

void Background::wait() noexcept {
  if (!thread_.joinable()) return;
  if (is_in_child()) {
    // A forked child does not have this thread: it can neither join nor detach it.
    static_cast<void>(new std::thread(std::move(thread_)));
  } else {
    thread_.join();
  }
}

bool Background::is_in_child() const { return process_ != 0 && process_ != ::getpid(); }

}  // namespace checkpoint::manager
