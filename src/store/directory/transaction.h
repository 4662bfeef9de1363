#pragma once

#include "store/directory/staging.h"

#include <checkpoint/manifest.h>

namespace checkpoint::store {

/// One save into a directory: the checkpoint appears whole, or not at all. The comment at the top
/// of transaction.cpp lists the steps. The caller must hold the writer lock. Not thread-safe.
class Transaction {
 public:
  /// Steps 1 and 2. `bytes_expected` is roughly the size of all files. Throws what Staging throws.
  Transaction(const Directory& directory, const Marker& marker, uint64_t bytes_expected);
  /// Removes everything that was written, unless committed.
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  /// Returns the staging directory, for writing the files: steps 3 and 4.
  const Staging& staging() const { return staging_; }

  /// Steps 5 to 8: writes the manifest and commits under `manifest.name`, which must be free.
  /// Throws Error: locked, no_space, io. If the last sync fails, the checkpoint may exist although
  /// this throws.
  void commit(const Manifest& manifest);

 private:
  const Directory& directory_;
  const Staging staging_;
  bool committed_ = false;
};

}  // namespace checkpoint::store
