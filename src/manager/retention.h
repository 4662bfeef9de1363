#pragma once

#include "store/directory.h"

#include <cstdint>
#include <set>
#include <string>

namespace checkpoint::manager {

/// Removes the checkpoints that nobody wants any more, after a save.
class Retention {
 public:
  Retention(int64_t keep_last, bool verify_before_retire)
      : keep_last_(keep_last), verify_before_retire_(verify_before_retire) {}

  /// Retires all but the newest `keep_last` whole checkpoints. If none of those that stay has been
  /// read back from the disk by this process, `newest` is read back first; if that fails, nothing
  /// is removed and the log says so. Throws Error(io). The caller holds the writer lock.
  void apply(const store::Directory& directory, const std::string& newest);

 private:
  bool stays_safe(const store::Directory& directory, const std::set<std::string>& staying,
                  const std::string& newest);

  int64_t keep_last_;
  bool verify_before_retire_;
  std::set<std::string> read_back_;  // Names, found whole on the disk.
};

}  // namespace checkpoint::manager
