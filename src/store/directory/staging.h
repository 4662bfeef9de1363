#pragma once

#include "base/meter.h"
#include "store/directory/directory.h"
#include "store/io/byte_sink.h"
#include "store/records/marker.h"

#include <checkpoint/manifest.h>

#include <functional>
#include <string>

namespace checkpoint::store {

/// A hidden directory beside the checkpoints, in which the files of the next one are gathered. The
/// process that makes it removes it, or commits it (transaction.h). Others may join it by its name
/// and add files of their own; what they write, the maker's manifest must name. Not thread-safe.
class Staging {
 public:
  /// Makes one, with its marker, under a random name. Throws Error: locked if the directory is no
  /// longer the one that is held, no_space if `bytes_expected` are not free, io. `directory` must
  /// outlive this.
  Staging(const Directory& directory, const Marker& marker, uint64_t bytes_expected);
  /// Joins the one that another process has made. Throws Error: invalid_argument for a name that no
  /// staging directory has, not_found if it is gone, io.
  Staging(const Directory& directory, std::string name);

  const std::string& name() const { return name_; }
  std::string path() const { return directory_.path_of(name_); }

  /// Writes one file, which `content` fills, and syncs it. `reserved` bytes are reserved for it on
  /// the disk. `meter` may be null. Throws Error: locked, no_space, io, and what `content` or the
  /// meter throws.
  FileEntry write_file(const std::string& name, const std::function<void(ByteSink&)>& content,
                       uint64_t reserved = 0, base::Meter* meter = nullptr) const;

  /// Removes it and what this library has written into it. What fails is in the log: a later save
  /// sweeps it away.
  void remove() const noexcept;

 private:
  const Directory& directory_;
  std::string name_;
};

}  // namespace checkpoint::store
