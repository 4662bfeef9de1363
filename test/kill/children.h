#pragma once

#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <functional>
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

/// Returns the name of a hidden directory that a save or a removal makes; "" if there is none.
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

}  // namespace kill_test
