#pragma once

#include "store/directory/directory.h"
#include "store/directory/known_file.h"
#include "store/io/byte_sink.h"
#include "store/io/file_sink.h"
#include "store/records/marker.h"

#include <checkpoint/manifest.h>

#include <functional>
#include <string>

namespace checkpoint::store {

/// A hidden directory next to the checkpoints, in which the files of the next one are written. The
/// process that makes it also commits it (transaction.h) or removes it. Other processes may join it
/// by its name and add files, which the maker's manifest must then name. Not thread-safe.
class Staging {
 public:
  /// Makes a staging directory with a random name, and its marker. `directory` must outlive this.
  /// Throws Error: locked if the directory is no longer the one that is held, no_space if less than
  /// `bytes_expected` bytes are free, io.
  Staging(const Directory& directory, const Marker& marker, uint64_t bytes_expected);
  /// Joins a staging directory that another process has made. `directory` must outlive this. Throws
  /// Error: invalid_argument if `name` is not that of a staging directory, not_found if it does not
  /// exist, io.
  Staging(const Directory& directory, std::string name);

  const std::string& name() const { return name_; }
  std::string path() const { return directory_.path_of(name_); }

  /// Writes one file, which `content` fills, and syncs it. Returns its manifest entry. Throws
  /// Error: locked, no_space, io, and what `content` or the meter throws.
  FileEntry write_file(const std::string& name, const std::function<void(ByteSink&)>& content,
                       const SinkOptions& options = {}) const;

  /// Links the file at `from`, of an earlier checkpoint, under a name of its own, and syncs it. It
  /// must be the very file that is known. Returns its manifest entry. On failure there is no such
  /// file here, and it must be written instead. Throws Error: locked, io, no_space, not_found;
  /// corrupt if it is another file, or was written to.
  FileEntry link_file(const std::string& from, const KnownFile& known,
                      const std::string& name) const;

  /// Removes a file that is here, and must not be in the checkpoint. Logs a failure.
  void remove_file(const std::string& name) const noexcept;

  /// Removes the directory and the files that this library has written into it. Logs failures: a
  /// later save sweeps the rest away.
  void remove() const noexcept;

 private:
  const Directory& directory_;
  std::string name_;
};

}  // namespace checkpoint::store
