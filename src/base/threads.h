#pragma once

#include <thread>
#include <utility>

#include <signal.h>

namespace checkpoint::base {

/// Starts one of this library's own threads. It takes no signals, so that the program's handlers
/// run in the program's threads. Throws std::system_error if the system cannot start a thread.
template <typename Work>
std::thread start_thread(Work&& work) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // A new thread inherits the mask.
  try {
    std::thread thread(std::forward<Work>(work));
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
  } catch (...) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
}

}  // namespace checkpoint::base
