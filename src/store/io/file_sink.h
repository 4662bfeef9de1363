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

/// A new file that is written from start to end, and digested at the same time. The comment at the
/// top of file_sink.cpp lists the steps. Uses memory for three chunks, and up to one more chunk of
/// bytes that wait to be copied.
class FileSink final : public ByteSink {
 public:
  /// Creates the file, which must not exist, and reserves `reserved` bytes on the disk. The file
  /// may become longer or shorter than that. `meter` may be null. Throws Error: no_space, io.
  FileSink(FileSystem& fs, const std::string& path, uint64_t reserved = 0,
           base::Meter* meter = nullptr);
  /// The same for an empty file that exists already.
  explicit FileSink(File file, uint64_t reserved = 0, base::Meter* meter = nullptr);

  /// Throws Error: no_space, io, also for the failure of an earlier write.
  void write(const void* data, size_t count) override;
  void write(std::string_view text) { write(text.data(), text.size()); }
  void write_lasting(const void* data, size_t count, std::string* digest) override;
  void drain() override { filler_.finish(); }
  /// Writes the rest, syncs and closes the file. Returns its manifest entry, under `name`.
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
  // Used by the filling thread.
  std::array<base::AlignedBuffer, 3> buffers_;
  size_t current_ = 0;  // The buffer that is being filled.
  size_t filled_ = 0;   // Its bytes so far.
  base::FileDigest digest_;
  // Used by the writing thread.
  uint64_t written_ = 0;
  bool direct_ = false;
  // Declared last, so that the threads end before the members that they use: the filling thread
  // first, then the writing thread.
  base::Worker writer_;
  base::Worker filler_;
};

}  // namespace checkpoint::store
