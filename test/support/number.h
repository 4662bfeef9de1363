#pragma once

#include <checkpoint/checkpoint.h>

#include <string>
#include <vector>

namespace test {

/// A State of one number, for tests that are about the directory.
struct Number {
  explicit Number(int64_t start = 0) : value(start) { state.add("value", value).rng(false); }
  int64_t value;
  checkpoint::State state;
};

inline std::vector<std::string> names(const checkpoint::CheckpointManager& manager) {
  std::vector<std::string> result;
  for (const checkpoint::CheckpointInfo& info : manager.list()) result.push_back(info.name);
  return result;
}

}  // namespace test
