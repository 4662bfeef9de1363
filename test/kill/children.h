#pragma once

#include <dirent.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <new>
#include <random>
#include <stdexcept>
#include <string>

namespace kill_test {

[[noreturn]] inline void fail(const std::string& what) { throw std::runtime_error(what); }

/// Runs in a child; what it throws ends it with status 1.
inline pid_t in_child(const std::function<void()>& work) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child != 0) return child;
  try {
    work();
    std::fflush(nullptr);
    ::_exit(0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "child: %s\n", error.what());
  }
  ::_exit(1);
}

inline void must_end_well(pid_t child, const char* what) {
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) fail(std::string(what) + " ended with status " + std::to_string(status));
}

/// Returns the name of a hidden directory that a save or a removal has made; "" where neither runs.
inline std::string hidden_in(const std::string& directory) {
  std::string found;
  if (DIR* entries = ::opendir(directory.c_str())) {
    while (const dirent* entry = ::readdir(entries)) {
      const std::string name = entry->d_name;
      for (const char* start : {".staging-", ".retiring-", ".retired-"}) {
        if (name.rfind(start, 0) == 0) found = name;
      }
    }
    ::closedir(entries);
  }
  return found;
}

/// Returns whether a child has ended. It may still be waited for.
inline bool has_ended(pid_t child) {
  siginfo_t info = {};
  const int asked = ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT);
  return asked != 0 || info.si_pid != 0;
}

/// Waits until a hidden directory whose name begins with `start` comes into being, or until the
/// child has ended. Returns whether the child still runs.
inline bool wait_for_hidden(const std::string& directory, const char* start, pid_t child) {
  const std::string before = hidden_in(directory);
  std::string hidden = before;
  while (hidden == before || hidden.rfind(start, 0) != 0) {
    if (has_ended(child)) return false;
    hidden = hidden_in(directory);
  }
  return true;
}

/// Makes a value that this process and its children see. It is never removed.
template <typename T>
T* make_shared_memory() {
  void* const memory =
      ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("mmap failed");
  return new (memory) T();
}

/// Runs a torture in a new folder, and prints its seed and its summary. If it fails, prints where,
/// and keeps the files. Returns the exit status. `Torture(arguments…, seed, folder)` has `run`,
/// `summary` and `where`. `seed` is a number as text, or null for a random one.
template <typename Torture, typename... Arguments>
int run_torture(const std::string& title, const char* seed_text, Arguments... arguments) {
  namespace fs = std::filesystem;
  const auto seed = static_cast<uint32_t>(seed_text != nullptr ? std::atoll(seed_text)
                                                               : std::random_device()() % 100000);
  std::string folder = (fs::temp_directory_path() / "torture-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return 2;
  std::printf("seed %u\n", seed);
  Torture torture(arguments..., seed, folder);
  try {
    torture.run();
  } catch (const std::exception& error) {
    std::printf("torture FAILED, seed %u, %s: %s\n", seed, torture.where().c_str(), error.what());
    return 1;
  }
  fs::remove_all(folder);
  std::printf("%s, seed %u: %s\n", title.c_str(), seed, torture.summary().c_str());
  return 0;
}

}  // namespace kill_test
