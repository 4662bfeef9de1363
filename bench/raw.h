#pragma once

#include <cstddef>
#include <string>

namespace bench {

/// Memory whose pages are present; huge pages, if available.
class WarmMemory {
 public:
  explicit WarmMemory(size_t bytes);
  ~WarmMemory();
  WarmMemory(const WarmMemory&) = delete;
  WarmMemory& operator=(const WarmMemory&) = delete;
  char* data() const { return data_; }
  size_t size() const { return bytes_; }

 private:
  size_t bytes_;
  char* data_;
};

size_t cores();
/// Returns the seconds of a copy; each thread copies its share.
double copy_time(char* to, const char* from, size_t bytes, size_t threads);
/// Returns the seconds of a copy into memory that has not been touched yet.
double copy_fresh_time(const WarmMemory& from, size_t threads);
/// Returns the seconds to write a new file with O_DIRECT, 8 MiB at a time, into reserved space,
/// with fsync.
double raw_write_time(const std::string& path, const WarmMemory& from);
/// Returns the seconds to read a file from the disk with O_DIRECT, 8 MiB at a time; each thread
/// reads its share.
double raw_read_time(const std::string& path, const WarmMemory& to, size_t threads);
/// Makes the next reads of the file come from the disk.
void drop_cache(const std::string& path);
/// Makes the next reads of the file come from memory.
void fill_cache(const std::string& path);
void sync_file(const std::string& path);

}  // namespace bench
