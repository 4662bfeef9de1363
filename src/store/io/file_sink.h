#pragma once

#include "base/meter.h"
#include "base/semaphore.h"
#include "store/io/byte_sink.h"
#include "store/io/chunk.h"
#include "store/io/chunk_pool.h"
#include "store/io/file.h"

#include <checkpoint/manifest.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace checkpoint::store {

/// What a FileSink may be given.
struct SinkOptions {
  uint64_t reserved = 0;         ///< Bytes to reserve. The file may become longer or shorter.
  base::Meter* meter = nullptr;  ///< Counts what is written. May be null.
  /// Gives memory, and keeps what is in huge pages: new memory, if `reserved` is a chunk or more.
  /// May be null.
  ChunkPool* pool = nullptr;
};

/// A new file that is written from start to end, and digested at the same time, with several cores.
/// The comment at the top of file_sink.cpp lists the steps. Uses memory for one chunk more than
/// there are threads.
class FileSink final : public ByteSink {
 public:
  /// Whatever the number of cores: while some threads compute, the others keep the disk busy. With
  /// as many threads as cores, disks wait a third of the time.
  static constexpr size_t kThreads = 5;
  /// So many of them write at once. If all did, their writes would end together, and the disk would
  /// wait while all compute: a third of the time as well.
  static constexpr size_t kWriters = 3;

  /// Creates the file, which must not exist, and reserves room on the disk. What `options` point to
  /// must outlive this. Throws Error: no_space, io.
  FileSink(FileSystem& fs, const std::string& path, const SinkOptions& options = {});
  /// The same for an empty file that exists already.
  explicit FileSink(File file, const SinkOptions& options = {});
  /// Drops what is not written yet.
  ~FileSink() override;

  /// These throw Error: no_space, io, also for the failure of an earlier write, and what `fill` has
  /// thrown.
  void write(const void* data, size_t count) override;
  void write(std::string_view text) { write(text.data(), text.size()); }
  void write_lasting(const void* data, size_t count, Sums* sums) override;
  void write_late(size_t count, const Fill& fill) override;
  void drain() override;
  /// Writes the rest, syncs and closes the file. Returns its manifest entry, under `name`.
  FileEntry finish(const std::string& name);

 private:
  struct Job {
    std::unique_ptr<Chunk> chunk;
    size_t number;  // In the file.
  };

  void in_chunks(size_t count, const std::function<void(size_t done, size_t piece)>& add);
  Chunk& open_chunk();
  std::unique_ptr<Chunk> free_chunk();
  void hand_over();
  void start_threads();
  void work();
  void run(Job job) noexcept;
  void process(const Job& job);
  void settle(const Job& job);
  void digest(const Job& job);
  void write_chunk(uint64_t at, const char* data, size_t count);
  void write_rest();
  void note_written(size_t count);
  void wait_for_threads();
  void stop() noexcept;

  File file_;
  const SinkOptions options_;
  const bool is_large_;  // As far as is known at the beginning.
  // Used by the caller alone.
  std::unique_ptr<Chunk> open_;  // The one that is being put together.
  size_t handed_over_ = 0;       // The chunks before it.
  bool was_direct_ = false;      // Whether O_DIRECT could be switched on.
  std::vector<std::thread> threads_;
  // Used by one thread at a time: by the one whose turn it is to settle.
  OpenSums open_sums_;
  std::atomic<bool> direct_{false};
  base::Semaphore writers_{kWriters};

  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::deque<Job> waiting_;
  std::vector<std::unique_ptr<Chunk>> free_;
  size_t chunks_ = 0;   // That exist.
  size_t settled_ = 0;  // Whose turn it is to settle.
  size_t done_ = 0;
  std::string digests_;  // Of the chunks, in canonical form.
  bool stopping_ = false;
  std::exception_ptr failure_;
};

}  // namespace checkpoint::store
