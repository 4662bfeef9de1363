#pragma once

#include "base/aligned_buffer.h"
#include "base/digest.h"
#include "base/meter.h"
#include "base/worker.h"
#include "store/io/byte_sink.h"
#include "store/io/file.h"

#include <checkpoint/manifest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace checkpoint::store {

/// A new file, written from start to end and digested on the way. The steps are at the top of
/// file_sink.cpp. Its memory: three chunks, and up to one more of bytes that wait to be copied.
class FileSink final : public ByteSink {
 public:
  /// Creates the file, which must not exist. `reserved` bytes are reserved on the disk; it may
  /// become longer, or shorter.
  /// `meter` may be null. Throws Error: no_space, io.
  FileSink(FileSystem& fs, const std::string& path, uint64_t reserved = 0,
           base::Meter* meter = nullptr);
  /// The same for an empty file that has been created already.
  explicit FileSink(File file, uint64_t reserved = 0, base::Meter* meter = nullptr);

  /// Throws Error: no_space, io, also for what was written earlier.
  void write(const void* data, size_t count) override;
  void write(std::string_view text) { write(text.data(), text.size()); }
  void write_lasting(const void* data, size_t count, std::string* digest) override;
  void drain() override { filler_.finish(); }
  /// Writes what is left, syncs, closes; says what the file must be found as, under `name`.
  FileEntry finish(const std::string& name);

 private:
  void fill(const void* data, size_t count, base::StreamDigest* own);
  char* buffer();
  void hand_over();
  void write_chunk(const char* data, size_t count);
  void write_rest();
  void note_written(size_t count);

  File file_;
  base::Meter* const meter_;
  const uint64_t reserved_;
  const base::Pages pages_;
  // Of the filling thread.
  std::array<base::AlignedBuffer, 3> buffers_;
  size_t current_ = 0;  // The buffer that is being filled,
  size_t filled_ = 0;   // and how far.
  base::FileDigest digest_;
  // Of the writing thread.
  uint64_t written_ = 0;
  bool direct_ = false;
  // The threads end before what they use does: first the one that fills, then the one that writes.
  base::Worker writer_;
  base::Worker filler_;
};

}  // namespace checkpoint::store
