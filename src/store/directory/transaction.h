#pragma once

#include "base/meter.h"
#include "store/directory/directory.h"
#include "store/io/byte_sink.h"
#include "store/records/marker.h"

#include <checkpoint/manifest.h>

#include <functional>
#include <string>

namespace checkpoint::store {

/// Puts one checkpoint into a directory, whole or not at all; the steps stand atop
/// transaction.cpp. The caller holds the writer lock. Not thread-safe.
class Transaction {
 public:
  /// Steps 1 and 2. `bytes_expected` is what the files will need, about.
  /// Throws Error: locked if the directory is no longer the one that is held, no_space, io.
  Transaction(const Directory& directory, const Marker& marker, uint64_t bytes_expected);
  /// Unless committed, removes everything that was written.
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  /// Steps 3 and 4: writes one file of the checkpoint, which `content` fills, and syncs it.
  /// `reserved` bytes are reserved for it on the disk. `meter` may be null. Throws Error: locked,
  /// no_space, io, and what `content` or the meter throws.
  FileEntry write_file(const std::string& name, const std::function<void(ByteSink&)>& content,
                       uint64_t reserved = 0, base::Meter* meter = nullptr);

  /// Steps 5 to 8: writes the manifest and commits under `manifest.name`, which must be free.
  /// Throws Error: locked, no_space, io; if the last sync fails, the checkpoint may be there all
  /// the same.
  void commit(const Manifest& manifest);

 private:
  void remove_staging() noexcept;

  const Directory& directory_;
  std::string staging_;
  bool committed_ = false;
};

}  // namespace checkpoint::store
