#include "memory.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

namespace bench {
namespace {

double anonymous_mib() {
  char text[4096];
  const int fd = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  const ssize_t count = fd < 0 ? 0 : ::read(fd, text, sizeof text - 1);
  if (fd >= 0) ::close(fd);
  text[std::max<ssize_t>(count, 0)] = '\0';
  const char* const line = std::strstr(text, "RssAnon:");
  long kib = 0;
  if (line == nullptr || std::sscanf(line, "RssAnon: %ld", &kib) != 1) return 0;
  return static_cast<double>(kib) / 1024;
}

}  // namespace

PeakMemory::PeakMemory() {
  ::malloc_trim(0);  // Returns free memory to the system, so that using it again counts.
  first_ = peak_ = anonymous_mib();
  thread_ = std::thread([this] {
    while (!stopping_) {
      peak_ = std::max(peak_, anonymous_mib());
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
  });
}

PeakMemory::~PeakMemory() {
  if (thread_.joinable()) extra_mib();
}

double PeakMemory::extra_mib() {
  stopping_ = true;
  thread_.join();
  return peak_ - first_;
}

}  // namespace bench
