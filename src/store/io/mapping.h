#pragma once

#include "store/io/file.h"

#include <cstdint>

namespace checkpoint::store {

/// A private mapping of a whole file: what is written into it changes no file. Where the file is
/// truncated while it is mapped, reading it kills the process (SIGBUS). Thread-safe for reading.
class Mapping {
 public:
  /// The file may be closed afterwards. Throws Error(io).
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
