#include "store/io/mapping.h"

#include <sys/mman.h>

#include <cerrno>

namespace checkpoint::store {

Mapping::Mapping(const File& file) : size_(file.size()) {
  if (size_ == 0) return;
  void* const address =
      ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.fd(), 0);
  if (address == MAP_FAILED) throw system_failure("map the file", file.name(), errno);
  data_ = static_cast<char*>(address);
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace checkpoint::store
