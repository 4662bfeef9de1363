#pragma once

#include "catch.h"

#include <sys/wait.h>

#include <cstdio>
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

}  // namespace test
