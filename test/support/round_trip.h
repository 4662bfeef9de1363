#pragma once

#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <utility>

namespace test {

/// One checkpoint on disk, saved from a State.
class Saved {
 public:
  explicit Saved(const checkpoint::State& state, const checkpoint::Progress& progress = {}) {
    checkpoint::CheckpointManager manager(directory_.path());
    name_ = manager.save(state, progress);
  }
  checkpoint::Restored restore(checkpoint::State& state,
                               const checkpoint::RestoreOptions& options = {}) const {
    checkpoint::CheckpointManager manager(directory_.path());
    return manager.restore(state, name_, options);
  }
  std::string path() const { return directory_ / name_; }
  std::string archive() const { return path() + "/checkpoint.pt"; }

 private:
  TemporaryDirectory directory_;
  std::string name_;
};

}  // namespace test
