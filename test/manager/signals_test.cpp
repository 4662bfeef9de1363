#include "support/catch.h"
#include "support/error_of.h"
#include "support/number.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>

using namespace checkpoint;
using test::names;
using test::Number;

namespace {

// Not SIGTERM, which Catch2 takes for the end of the test.

using Names = std::vector<std::string>;

CheckpointManagerOptions by_step() {
  return CheckpointManagerOptions().name("s{step}").stop_on_signal({SIGHUP, SIGUSR1});
}
Progress mid_epoch(int64_t step) { return {0, step, 0, {}, false}; }

// The handler that a test has put in place before, and what it saw.
int plain_calls = 0;
void plain_handler(int) { ++plain_calls; }
int info_calls = 0;
int info_code = 0;
void info_handler(int, siginfo_t* info, void*) {
  ++info_calls;
  info_code = info->si_code;
  errno = EXDEV;
}

struct sigaction current(int signal) {
  struct sigaction action = {};
  ::sigaction(signal, nullptr, &action);
  return action;
}

// Runs `steps` in a process of its own, without Catch2's handlers. The process ends with status 7
// if `steps` returns.
int status_of_child(const std::function<void()>& steps) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int signal : {SIGINT, SIGHUP}) ::signal(signal, SIG_DFL);
    steps();
    ::_exit(7);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}
bool ended_by(int status, int signal) { return WIFSIGNALED(status) && WTERMSIG(status) == signal; }
bool went_on(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 7; }

void raise_later(int signal) {
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ::raise(signal);
}

// Restores a signal's action at the end of a test.
class KeepAction {
 public:
  explicit KeepAction(int signal) : signal_(signal), before_(current(signal)) {}
  ~KeepAction() { ::sigaction(signal_, &before_, nullptr); }

 private:
  int signal_;
  struct sigaction before_;
};

}  // namespace

TEST_CASE("A signal asks for a save, at the next call and in mid-epoch, and then for the end") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(root.path(), by_step());
  CHECK_FALSE(manager.save_if_due(number.state, mid_epoch(1)));
  const int signal = GENERATE(SIGHUP, SIGUSR1);
  ::raise(signal);
  CHECK_FALSE(manager.should_stop());  // Not before the state is on disk.
  CHECK(names(manager).empty());
  CHECK(manager.save_if_due(number.state, mid_epoch(2)) == std::string("s2"));
  CHECK(manager.should_stop());
  CHECK_FALSE(manager.save_if_due(number.state, mid_epoch(3)));
  CHECK(manager.should_stop());
  // Many signals ask for one save.
  ::raise(signal);
  ::raise(signal);
  CHECK(manager.save_if_due(number.state, mid_epoch(4)));
  CHECK_FALSE(manager.save_if_due(number.state, mid_epoch(5)));
  CHECK(names(manager) == Names{"s2", "s4"});
}

TEST_CASE("A plain save answers the wish as well") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(root.path(), by_step());
  ::raise(SIGHUP);
  manager.save(number.state, mid_epoch(1));
  CHECK(manager.should_stop());
  CHECK_FALSE(manager.save_if_due(number.state, mid_epoch(2)));
}

TEST_CASE("save_on_signal saves, and training goes on") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(
      root.path(), CheckpointManagerOptions().save_on_signal({SIGUSR2}).stop_on_signal({SIGHUP}));
  ::raise(SIGUSR2);
  CHECK(manager.save_if_due(number.state, mid_epoch(1)));
  CHECK_FALSE(manager.should_stop());
  ::raise(SIGUSR2);
  ::raise(SIGHUP);
  CHECK(manager.save_if_due(number.state, mid_epoch(2)));
  CHECK(manager.should_stop());
}

TEST_CASE("A save that fails leaves the wish, and training is not told to stop") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(root / "run", by_step());
  test::write_file(root / "run", "a file in the way");
  ::raise(SIGHUP);
  CHECK_THROWS_AS(manager.save_if_due(number.state, mid_epoch(1)), Error);
  CHECK_FALSE(manager.should_stop());
  std::remove((root / "run").c_str());
  CHECK(manager.save_if_due(number.state, mid_epoch(2)));
  CHECK(manager.should_stop());
}

TEST_CASE("What came before the manager was made is not its matter; each manager has its own") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager first(root / "a", by_step());
  ::raise(SIGHUP);
  CheckpointManager second(root / "b", by_step());
  CHECK_FALSE(second.save_if_due(number.state, mid_epoch(1)));
  CHECK(first.save_if_due(number.state, mid_epoch(1)));
  ::raise(SIGHUP);
  CHECK(second.save_if_due(number.state, mid_epoch(2)));
  CHECK(first.save_if_due(number.state, mid_epoch(2)));
  CHECK(second.should_stop());
}

TEST_CASE("An earlier handler is called too, and is put back with the last manager") {
  const KeepAction keep(SIGHUP);
  const test::TemporaryDirectory root;
  struct sigaction action = {};
  SECTION("a plain one") {
    action.sa_handler = plain_handler;
    action.sa_flags = SA_RESTART;
  }
  SECTION("one with SA_SIGINFO, which loses none of it") {
    action.sa_sigaction = info_handler;
    action.sa_flags = SA_SIGINFO;
    ::sigaddset(&action.sa_mask, SIGWINCH);
  }
  ::sigaction(SIGHUP, &action, nullptr);
  plain_calls = info_calls = info_code = 0;
  {
    auto first = std::make_unique<CheckpointManager>(root / "a", by_step());
    auto second = std::make_unique<CheckpointManager>(root / "b", by_step());
    const struct sigaction installed = current(SIGHUP);
    CHECK((installed.sa_flags & SA_RESTART) == (action.sa_flags & SA_RESTART));
    CHECK(::sigismember(&installed.sa_mask, SIGWINCH) == ::sigismember(&action.sa_mask, SIGWINCH));
    errno = 0;
    ::raise(SIGHUP);
    CHECK(errno == 0);
    CHECK(plain_calls + info_calls == 1);
    first.reset();
    ::raise(SIGHUP);
    CHECK(plain_calls + info_calls == 2);
    Number number;
    CHECK(second->save_if_due(number.state, mid_epoch(1)));
  }
  if (info_calls > 0) CHECK(info_code == SI_TKILL);
  const struct sigaction after = current(SIGHUP);
  CHECK(after.sa_handler == action.sa_handler);
  CHECK((after.sa_flags & SA_SIGINFO) == (action.sa_flags & SA_SIGINFO));
  ::raise(SIGHUP);
  CHECK(plain_calls + info_calls == 3);
}

TEST_CASE("The default and ignored are not called, and are put back") {
  const KeepAction keep(SIGHUP);
  const auto before = GENERATE(SIG_DFL, SIG_IGN);
  ::signal(SIGHUP, before);
  {
    const test::TemporaryDirectory root;
    const CheckpointManager manager(root.path(), by_step());
    ::raise(SIGHUP);  // The default would end this process.
  }
  CHECK(current(SIGHUP).sa_handler == before);
}

TEST_CASE("A handler that was put over ours is left alone, and may call ours") {
  const KeepAction keep(SIGHUP);
  const test::TemporaryDirectory root;
  static struct sigaction ours;
  Number number;
  {
    const CheckpointManager manager(root / "a", by_step());
    ours = current(SIGHUP);
    struct sigaction over = {};
    over.sa_sigaction = [](int signal, siginfo_t* info, void* context) {
      ++info_calls;
      ours.sa_sigaction(signal, info, context);
    };
    over.sa_flags = SA_SIGINFO;
    ::sigaction(SIGHUP, &over, nullptr);
  }
  CHECK(current(SIGHUP).sa_sigaction != ours.sa_sigaction);
  info_calls = 0;
  CheckpointManager next(root / "b", by_step());
  ::raise(SIGHUP);
  CHECK(info_calls == 1);
  CHECK(next.save_if_due(number.state, mid_epoch(1)));
  ::sigaction(SIGHUP, &ours, nullptr);  // So that ours can be taken away again.
}

TEST_CASE("A signal may come in any thread") {
  const test::TemporaryDirectory root;
  Number number;
  CheckpointManager manager(root.path(), by_step());
  std::thread([] { ::raise(SIGHUP); }).join();
  CHECK(manager.save_if_due(number.state, mid_epoch(1)));
  CHECK(manager.should_stop());
}

TEST_CASE("A second SIGINT ends the process at once, and what was saved before stays") {
  const test::TemporaryDirectory root;
  const int status = status_of_child([&] {
    Number number(3);
    CheckpointManager manager(root.path(), CheckpointManagerOptions().stop_on_signal({SIGINT}));
    ::raise(SIGINT);
    manager.save_if_due(number.state, mid_epoch(1));
    if (!manager.should_stop()) return;
    raise_later(SIGINT);
  });
  CHECK(ended_by(status, SIGINT));
  Number number;
  CheckpointManager next(root.path());
  CHECK(next.restore_latest(number.state));
  CHECK(number.value == 3);
}

TEST_CASE("A second SIGINT ends a program that never comes to its next save") {
  const test::TemporaryDirectory root;
  CHECK(ended_by(status_of_child([&] {
                   const CheckpointManager manager(
                       root.path(), CheckpointManagerOptions().stop_on_signal({SIGINT}));
                   ::raise(SIGINT);
                   raise_later(SIGINT);
                 }),
                 SIGINT));
}

TEST_CASE("What a second signal does not end") {
  const test::TemporaryDirectory root;
  const auto twice = [&](int signal, const CheckpointManagerOptions& options) {
    return status_of_child([&, signal] {
      const CheckpointManager manager(root.path(), options);
      ::raise(signal);
      raise_later(signal);
      raise_later(signal);
    });
  };
  SECTION("a signal that schedulers send many times") {
    CHECK(went_on(twice(SIGHUP, CheckpointManagerOptions().stop_on_signal({SIGHUP}))));
  }
  SECTION("but where that is wished") {
    CHECK(ended_by(
        twice(SIGHUP, CheckpointManagerOptions().stop_on_signal({SIGHUP}).end_on_second_signal(
                          {SIGINT, SIGHUP})),
        SIGHUP));
  }
  SECTION("SIGINT, where that is not wished") {
    CHECK(went_on(twice(
        SIGINT, CheckpointManagerOptions().stop_on_signal({SIGINT}).end_on_second_signal({}))));
  }
  SECTION("SIGINT that only asks for a save") {
    CHECK(went_on(twice(SIGINT, CheckpointManagerOptions().save_on_signal({SIGINT}))));
  }
  SECTION("the same Ctrl-C, passed on by a launcher") {
    CHECK(went_on(status_of_child([&] {
      const CheckpointManager manager(root.path(),
                                      CheckpointManagerOptions().stop_on_signal({SIGINT}));
      ::raise(SIGINT);
      ::raise(SIGINT);
    })));
  }
  SECTION("a program with a handler of its own") {
    CHECK(went_on(status_of_child([&] {
      ::signal(SIGINT, plain_handler);
      plain_calls = 0;
      const CheckpointManager manager(root.path(),
                                      CheckpointManagerOptions().stop_on_signal({SIGINT}));
      ::raise(SIGINT);
      raise_later(SIGINT);
      if (plain_calls != 2) ::_exit(1);
    })));
  }
  SECTION("the first one of the next training") {
    CHECK(went_on(status_of_child([&] {
      const auto options = CheckpointManagerOptions().stop_on_signal({SIGINT});
      const CheckpointManager first(root / "a", options);
      ::raise(SIGINT);
      const CheckpointManager second(root / "b", options);
      raise_later(SIGINT);
    })));
  }
}

TEST_CASE("Signals that cannot ask for anything are refused, and none is left half installed") {
  const struct sigaction before = current(SIGHUP);
  for (const int signal : {0, -1, 1000, SIGKILL, SIGSTOP, SIGSEGV, SIGABRT, SIGFPE}) {
    const auto options = CheckpointManagerOptions().stop_on_signal({SIGHUP, signal});
    CHECK(contains(error_of([&] { CheckpointManager("d", options); }), "invalid_argument: "));
  }
  CHECK(current(SIGHUP).sa_handler == before.sa_handler);
}
