#include "store/byte_sink.h"

#include <algorithm>
#include <cstring>

namespace checkpoint::store {

FileSink::FileSink(FileSystem& fs, const std::string& path)
    : file_(File::create(fs, path)), buffer_(new char[kChunkBytes]) {}

void FileSink::write(const void* data, size_t count) {
  const char* cursor = static_cast<const char*>(data);
  while (count > 0) {
    const size_t piece = std::min(count, kChunkBytes - buffered_);
    std::memcpy(buffer_.get() + buffered_, cursor, piece);
    buffered_ += piece;
    cursor += piece;
    count -= piece;
    if (buffered_ == kChunkBytes) flush();
  }
}

FileEntry FileSink::finish(const std::string& name) {
  flush();
  file_.sync();
  file_.close();
  return {name, written_, digest_.finish()};
}

void FileSink::flush() {
  if (buffered_ == 0) return;
  digest_.add_chunk(buffer_.get(), buffered_);
  file_.write_at(written_, buffer_.get(), buffered_);
  written_ += buffered_;
  buffered_ = 0;
}

}  // namespace checkpoint::store
