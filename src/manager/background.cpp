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

// Where training wants all cores, this thread, and those that it starts, get a tenth of one each.
constexpr int kNice = 10;

// Best effort, lowest level, in the kernel's encoding; there is no header for it.
constexpr int kIoPriorityWhoProcess = 1;
constexpr int kIoPriorityLowest = (2 << 13) | 7;

// On Linux both are a thread's own.
void lower_priority() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kNice);
  ::syscall(SYS_ioprio_set, kIoPriorityWhoProcess, 0, kIoPriorityLowest);
}

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
    // It is not there: neither to be joined nor to be detached.
    static_cast<void>(new std::thread(std::move(thread_)));
  } else {
    thread_.join();
  }
}

bool Background::is_in_child() const { return process_ != 0 && process_ != ::getpid(); }

}  // namespace checkpoint::manager
