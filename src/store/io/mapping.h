#pragma once

#include "store/io/file.h"

#include <cstdint>

namespace checkpoint::store {

/// A private mapping of a whole file: writing into it does not change the file. If another program
/// truncates the file, reading the mapping kills the process (SIGBUS). Reading is thread-safe.
class Mapping {
 public:
  /// Maps `file`, which may be closed afterwards. Throws Error(io).
  explicit Mapping(const File& file);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  char* data() const { return data_; }
  uint64_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  uint64_t size_;
};

}  // namespace checkpoint::store
