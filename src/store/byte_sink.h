#pragma once

#include "store/digest.h"
#include "store/file.h"

#include <checkpoint/manifest.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace checkpoint::store {

/// Something that takes bytes one after the other.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual void write(const void* data, size_t count) = 0;
};

/// A new file, written from start to end and digested on the way. Not thread-safe.
class FileSink final : public ByteSink {
 public:
  /// Creates the file, which must not exist.
  FileSink(FileSystem& fs, const std::string& path);
  /// Throws Error: no_space, io.
  void write(const void* data, size_t count) override;
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Writes what is left, syncs, closes; says what the file must be found as, under `name`.
  FileEntry finish(const std::string& name);

 private:
  void flush();

  File file_;
  // One chunk: what is digested together is written together.
  std::unique_ptr<char[]> buffer_;
  size_t buffered_ = 0;
  uint64_t written_ = 0;
  FileDigest digest_;
};

}  // namespace checkpoint::store
