// How bytes get into a file:
//
//   1. The caller passes them: small pieces as copies, tensors by reference.
//   2. A second thread copies them into a chunk. It digests them while they are in its cache: for
//      the digest of the file, and for the digest of the tensor.
//   3. A third thread writes full chunks with O_DIRECT. This keeps the disk busy and does not push
//      the training's data out of the page cache.
//   4. The rest, which is not a multiple of a page, goes through the page cache. Reserved room that
//      is left over is freed. Then fsync.
//
// The caller itself writes a file smaller than a chunk, through the page cache. If the file system
// refuses O_DIRECT, when it is switched on or at the first write, all bytes go through the page
// cache.

#include "store/io/file_sink.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace checkpoint::store {
namespace {

// Smaller pieces are copied at once: passing them to the other thread would cost more.
constexpr size_t kWorthPassingOn = size_t{64} << 10;

// What a task in the queue costs, in addition to its bytes.
constexpr size_t kTaskBytes = 256;

}  // namespace

FileSink::FileSink(FileSystem& fs, const std::string& path, uint64_t reserved, base::Meter* meter)
    : FileSink(File::create(fs, path), reserved, meter) {}

FileSink::FileSink(File file, uint64_t reserved, base::Meter* meter)
    : file_(std::move(file)),
      meter_(meter),
      reserved_(reserved),
      pages_(reserved >= base::kChunkBytes ? base::Pages::kHuge : base::Pages::kSmall),
      writer_(2 * base::kChunkBytes),
      filler_(base::kChunkBytes) {
  file_.allocate(reserved_);
}

void FileSink::write(const void* data, size_t count) {
  if (!filler_.started()) {
    fill(data, count, nullptr);
    return;
  }
  const auto copy = std::make_shared<std::string>(static_cast<const char*>(data), count);
  filler_.push([this, copy] { fill(copy->data(), copy->size(), nullptr); }, count + kTaskBytes);
}

void FileSink::write_lasting(const void* data, size_t count, std::string* digest) {
  if (!filler_.started() && count < kWorthPassingOn) {
    ByteSink::write_lasting(data, count, digest);
    return;
  }
  filler_.push(
      [this, data, count, digest] {
        base::StreamDigest own;
        fill(data, count, &own);
        *digest = own.finish();
      },
      kTaskBytes);
}

FileEntry FileSink::finish(const std::string& name) {
  drain();
  writer_.finish();
  write_rest();
  if (reserved_ > 0) file_.truncate(written_);
  file_.sync();
  file_.close();
  return {name, written_, digest_.finish()};
}

void FileSink::fill(const void* data, size_t count, base::StreamDigest* own) {
  const char* cursor = static_cast<const char*>(data);
  while (count > 0) {
    const size_t piece = std::min({count, base::kBlockBytes, base::kChunkBytes - filled_});
    char* const to = buffer() + filled_;
    std::memcpy(to, cursor, piece);
    digest_.add(to, piece);
    if (own != nullptr) own->add(to, piece);
    filled_ += piece;
    cursor += piece;
    count -= piece;
    if (filled_ == base::kChunkBytes) hand_over();
  }
}

char* FileSink::buffer() {
  base::AlignedBuffer& buffer = buffers_[current_];
  if (!buffer) buffer = base::aligned_buffer(base::kChunkBytes, pages_);
  return buffer.get();
}

// At most two chunks wait to be written, so the third buffer is free when `push` returns.
void FileSink::hand_over() {
  const char* const full = buffer();
  writer_.push([this, full] { write_chunk(full, base::kChunkBytes); }, base::kChunkBytes);
  current_ = (current_ + 1) % buffers_.size();
  filled_ = 0;
}

void FileSink::write_chunk(const char* data, size_t count) {
  if (written_ == 0) direct_ = file_.set_direct(true);
  try {
    file_.write_at(written_, data, count);
  } catch (const Error& error) {
    if (!direct_ || error.system_error() != EINVAL) throw;
    direct_ = false;
    file_.set_direct(false);
    file_.write_at(written_, data, count);
  }
  note_written(count);
}

void FileSink::note_written(size_t count) {
  written_ += count;
  if (meter_ != nullptr) meter_->add(count);
}

void FileSink::write_rest() {
  const char* const rest = buffers_[current_].get();
  const size_t whole_pages = direct_ ? filled_ / kDirectAlignment * kDirectAlignment : 0;
  if (whole_pages > 0) write_chunk(rest, whole_pages);
  if (direct_) file_.set_direct(false);
  const size_t left = filled_ - whole_pages;
  file_.write_at(written_, rest + whole_pages, left);
  note_written(left);
}

}  // namespace checkpoint::store
