#pragma once

#include "store/directory/staging.h"

#include <checkpoint/manifest.h>

namespace checkpoint::store {

/// Puts one checkpoint into a directory, whole or not at all; transaction.cpp begins with the
/// steps. The caller holds the writer lock. Not thread-safe.
class Transaction {
 public:
  /// Steps 1 and 2. `bytes_expected` is about what the files will need. Throws as Staging does.
  Transaction(const Directory& directory, const Marker& marker, uint64_t bytes_expected);
  /// Unless committed, removes everything that was written.
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  /// Where the files are written, steps 3 and 4.
  const Staging& staging() const { return staging_; }

  /// Steps 5 to 8: writes the manifest and commits under `manifest.name`, which must be free.
  /// Throws Error: locked, no_space, io. If the last sync fails, the checkpoint may be there
  /// nevertheless.
  void commit(const Manifest& manifest);

 private:
  const Directory& directory_;
  const Staging staging_;
  bool committed_ = false;
};

}  // namespace checkpoint::store
