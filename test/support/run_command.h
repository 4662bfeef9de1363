#pragma once

#include "support/catch.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string>

namespace test {

struct CommandResult {
  int status;
  std::string output;  // Both streams.
};

/// Runs torch-checkpoint by way of the shell.
inline CommandResult run_command(const std::string& arguments) {
  const std::string command =
      std::string("'") + TORCH_CHECKPOINT_COMMAND + "' " + arguments + " 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string output;
  char buffer[4096];
  while (const size_t got = std::fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, got);
  const int status = ::pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

/// Does the same with both streams on a terminal of 100 columns. Returns nothing if the system
/// cannot open a terminal, as in a chroot without /dev/pts.
inline std::optional<CommandResult> run_command_on_terminal(const std::string& arguments) {
  const winsize size{25, 100, 0, 0};
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (child < 0) return std::nullopt;
  if (child == 0) {
    const std::string command = std::string("exec '") + TORCH_CHECKPOINT_COMMAND + "' " + arguments;
    ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    ::_exit(127);
  }
  std::string output;
  char buffer[4096];
  // Once the child is gone, reading fails.
  for (ssize_t got = 0; (got = ::read(terminal, buffer, sizeof buffer)) > 0;) {
    output.append(buffer, static_cast<size_t>(got));
  }
  ::close(terminal);
  int status = 0;
  ::waitpid(child, &status, 0);
  return CommandResult{WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

}  // namespace test
