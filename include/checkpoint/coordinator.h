#pragma once

#include <checkpoint/export.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

namespace checkpoint {

/// How the processes of one training exchange short texts: a store of keys and values that all of
/// them see. A manager with a coordinator saves and restores together with those of the other
/// ranks (docs/distributed.md).
///
/// `c10d_coordinator` (checkpoint/c10d.h) makes one of any c10d::Store, `directory_coordinator` of
/// a directory. Derive from this class for anything else. No call may wait for another rank. All
/// calls must be thread-safe, because asynchronous saves use them in the background. A call that
/// throws fails the save or restore on all ranks.
///
/// All ranks must create the managers that share one coordinator in the same order.
class TORCH_CHECKPOINT_API Coordinator {
 public:
  virtual ~Coordinator();

  /// Returns this process's number: 0 to size() - 1. Never changes.
  virtual int rank() const = 0;
  /// Returns the number of processes. Never changes.
  virtual int size() const = 0;
  /// Stores a value of any bytes, in place of an earlier one. All ranks see it soon after.
  virtual void put(const std::string& key, const std::string& value) = 0;
  /// Returns the value, or nothing if the key does not exist.
  virtual std::optional<std::string> try_get(const std::string& key) = 0;
  /// Removes a key and its value, if it exists.
  virtual void erase(const std::string& key) = 0;

  /// Returns 0, then 1, …: a number for each manager that uses this coordinator.
  int count_manager() { return managers_++; }

 protected:
  Coordinator() = default;
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

 private:
  std::atomic<int> managers_ = 0;
};

/// Makes a coordinator of a directory that all ranks see, for instance on NFS. For MPI, and for
/// processes that were forked. Makes the directory, with missing parents, if it does not exist.
/// Each key is a small file in it. Give each run a directory of its own. `rank` and `size` are as
/// in Coordinator. Throws Error: invalid_argument if `rank` is not below `size`, io.
TORCH_CHECKPOINT_API std::shared_ptr<Coordinator> directory_coordinator(std::string directory,
                                                                        int rank, int size);

}  // namespace checkpoint
