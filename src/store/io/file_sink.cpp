// How bytes get into a file:
//
//   1. The caller puts a chunk together: it copies small pieces, and notes where tensors lie.
//   2. A thread takes the chunk when it is full. It copies the tensors' bytes into it, and computes
//      the sums of each block while it is in the core's cache.
//   3. It waits until the chunk before has done this step. Then it continues the sums of a tensor
//      that began there, and fills in the bytes that depend on sums.
//   4. It computes the digest of the chunk, for that of the file.
//   5. It writes the chunk with O_DIRECT, which does not push the training's data out of the page
//      cache. Only some of the threads write at a time: the others compute what comes next.
//   6. At the end, the rest, which is not a multiple of a page, goes through the page cache.
//      Reserved room that is left over is freed. Then fsync.
//
// The caller itself does all this for a file smaller than a chunk, through the page cache, and if
// the system gives no thread. If the file system refuses O_DIRECT, when it is switched on or at a
// write, all bytes go through the page cache.

#include "store/io/file_sink.h"

#include "base/threads.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace checkpoint::store {

FileSink::FileSink(FileSystem& fs, const std::string& path, const SinkOptions& options)
    : FileSink(File::create(fs, path), options) {}

FileSink::FileSink(File file, const SinkOptions& options)
    : file_(std::move(file)), options_(options), is_large_(options.reserved >= base::kChunkBytes) {
  file_.allocate(options_.reserved);
}

FileSink::~FileSink() {
  stop();
  if (options_.pool == nullptr) return;
  const auto keep = [this](std::unique_ptr<Chunk> chunk) {
    if (chunk && chunk->pages() == base::Pages::kHuge) options_.pool->put_back(std::move(chunk));
  };
  for (std::unique_ptr<Chunk>& chunk : free_) keep(std::move(chunk));
  keep(std::move(open_));
}

void FileSink::write(const void* data, size_t count) {
  const char* const bytes = static_cast<const char*>(data);
  in_chunks(count, [&](size_t done, size_t piece) { open_chunk().add(bytes + done, piece); });
}

void FileSink::write_lasting(const void* data, size_t count, Sums* sums) {
  if (count == 0 && sums != nullptr) *sums = {0, base::Digest::of(nullptr, 0)};
  const char* const bytes = static_cast<const char*>(data);
  in_chunks(count, [&](size_t done, size_t piece) {
    open_chunk().add_lasting(bytes + done, piece, sums, done == 0, done + piece == count);
  });
}

void FileSink::write_late(size_t count, const Fill& fill) {
  const auto late = std::make_shared<Late>(Late{fill, count, {}});
  in_chunks(count, [&](size_t done, size_t piece) { open_chunk().add_late(late, done, piece); });
}

// Cuts `count` bytes at the ends of chunks.
void FileSink::in_chunks(size_t count, const std::function<void(size_t, size_t)>& add) {
  for (size_t done = 0; done < count;) {
    const size_t piece = std::min(count - done, open_chunk().room());
    add(done, piece);
    done += piece;
    if (open_chunk().room() == 0) hand_over();
  }
}

Chunk& FileSink::open_chunk() {
  if (!open_) open_ = free_chunk();
  return *open_;
}

// Waits for one if there are as many as there may be.
std::unique_ptr<Chunk> FileSink::free_chunk() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || !free_.empty() || chunks_ <= kThreads; });
    if (failure_) std::rethrow_exception(failure_);
    if (!free_.empty()) {
      std::unique_ptr<Chunk> chunk = std::move(free_.back());
      free_.pop_back();
      return chunk;
    }
    ++chunks_;
  }
  std::unique_ptr<Chunk> kept = options_.pool != nullptr ? options_.pool->take() : nullptr;
  if (kept) return kept;
  return std::make_unique<Chunk>(is_large_ ? base::Pages::kHuge : base::Pages::kSmall);
}

void FileSink::hand_over() {
  if (handed_over_ == 0) {
    direct_ = was_direct_ = file_.set_direct(true);
    start_threads();
  }
  Job job{std::move(open_), handed_over_++};
  if (threads_.empty()) {
    run(std::move(job));
    return;  // A failure is thrown when the next chunk is needed, or in `drain`.
  }
  const std::lock_guard<std::mutex> hold(mutex_);
  waiting_.push_back(std::move(job));
  changed_.notify_all();
}

void FileSink::start_threads() {
  try {
    while (threads_.size() < kThreads) {
      threads_.push_back(base::start_thread([this] { work(); }));
    }
  } catch (const std::system_error&) {
    // The system gave fewer threads than we asked for. The others do more each.
  }
}

void FileSink::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stopping_ || failure_ || !waiting_.empty(); });
    if (stopping_ || failure_) return;
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    run(std::move(job));
    lock.lock();
  }
}

// Keeps the first failure for the caller.
void FileSink::run(Job job) noexcept {
  std::exception_ptr failure;
  try {
    process(job);
  } catch (...) {
    failure = std::current_exception();
  }
  job.chunk->clear();
  const std::lock_guard<std::mutex> hold(mutex_);
  if (failure && !failure_) failure_ = failure;
  ++done_;
  free_.push_back(std::move(job.chunk));
  changed_.notify_all();
}

void FileSink::process(const Job& job) {
  job.chunk->gather();
  settle(job);
  digest(job);
  const base::Permit permit(writers_);
  write_chunk(job.number * base::kChunkBytes, job.chunk->data(), job.chunk->size());
}

// Chunks are taken in their order, so the one that this one waits for is at work.
void FileSink::settle(const Job& job) {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return settled_ == job.number || failure_ || stopping_; });
    if (failure_) std::rethrow_exception(failure_);
    if (stopping_) throw Error(ErrorCode::kIo, "the file was given up", file_.name());
  }
  job.chunk->settle(open_sums_);
  const std::lock_guard<std::mutex> hold(mutex_);
  ++settled_;
  changed_.notify_all();
}

void FileSink::digest(const Job& job) {
  base::StreamDigest own;
  own.add(job.chunk->data(), job.chunk->size());
  const std::lock_guard<std::mutex> hold(mutex_);
  const size_t at = job.number * base::kDigestBytes;
  if (digests_.size() < at + base::kDigestBytes) digests_.resize(at + base::kDigestBytes);
  own.finish_into(&digests_[at]);
}

void FileSink::write_chunk(uint64_t at, const char* data, size_t count) {
  try {
    file_.write_at(at, data, count);
  } catch (const Error& error) {
    // Another thread may have switched it off since.
    if (error.system_error() != EINVAL || !was_direct_) throw;
    direct_ = false;
    file_.set_direct(false);
    file_.write_at(at, data, count);
  }
  note_written(count);
}

void FileSink::note_written(size_t count) {
  if (options_.meter != nullptr) options_.meter->add(count);
}

void FileSink::drain() {
  wait_for_threads();
  if (!open_) return;
  open_->gather();
  open_->settle(open_sums_);
}

void FileSink::wait_for_threads() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return failure_ || done_ == handed_over_; });
  if (failure_) std::rethrow_exception(failure_);
}

FileEntry FileSink::finish(const std::string& name) {
  drain();
  stop();
  write_rest();
  const uint64_t bytes = handed_over_ * base::kChunkBytes + (open_ ? open_->size() : 0);
  if (options_.reserved > 0) file_.truncate(bytes);
  file_.sync();
  file_.close();
  return {name, bytes, base::xxh3_128(digests_.data(), digests_.size())};
}

void FileSink::write_rest() {
  if (!open_ || open_->size() == 0) return;
  Job job{std::move(open_), handed_over_};
  digest(job);
  open_ = std::move(job.chunk);
  const uint64_t begin = handed_over_ * base::kChunkBytes;
  const size_t whole_pages = direct_ ? open_->size() / kDirectAlignment * kDirectAlignment : 0;
  if (whole_pages > 0) write_chunk(begin, open_->data(), whole_pages);
  if (direct_) file_.set_direct(false);
  const size_t left = open_->size() - whole_pages;
  file_.write_at(begin + whole_pages, open_->data() + whole_pages, left);
  note_written(left);
}

void FileSink::stop() noexcept {
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace checkpoint::store
