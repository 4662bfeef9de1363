#pragma once

#include <cstddef>
#include <string>
#include <vector>

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

/// The bytes of one write or read of the disk.
constexpr size_t kPiece = size_t{8} << 20;

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
/// Returns the seconds to read a file through the page cache into memory that is there; each thread
/// reads its share, 1 MiB at a time. Call `fill_cache` before.
double cached_read_time(const std::string& path, const WarmMemory& to, size_t threads);
/// Returns the seconds to write a new file through the page cache, 1 MiB at a time, without fsync.
double cached_write_time(const std::string& path, const WarmMemory& from);
/// Returns the seconds to touch each page of new memory; each thread touches its share.
double fresh_pages_time(size_t bytes, bool huge, size_t threads);
/// Returns the seconds of each 8 MiB that are written with O_DIRECT into a new file with reserved
/// room. Ends after `bytes`, or earlier after so many seconds. The file keeps the bytes written.
std::vector<double> direct_write_times(const std::string& path, const WarmMemory& from,
                                       size_t bytes, double most_seconds);
/// Returns the seconds to append 4 KiB to a file and to fsync it, for each of them.
std::vector<double> fsync_times(const std::string& path, int times);

/// Makes the next reads of the file come from the disk.
void drop_cache(const std::string& path);
/// Makes the next reads of the file come from memory.
void fill_cache(const std::string& path);
void sync_file(const std::string& path);
/// Waits until the disk has written and freed what the file system of `path` was given.
void sync_file_system(const std::string& path);

}  // namespace bench
