#pragma once

#include <cstddef>
#include <string>

namespace checkpoint::cli {

/// While it lives, CPU tensors take at most `budget` bytes of memory: a storage of 1 MiB or more
/// beyond that is a mapping of a file without a name, and the kernel moves its pages to the disk
/// when memory is short. If no such file can be made, or the disk is full, the storage takes memory
/// after all. Tensors may outlive it. Allocating is thread-safe; there may be only one at a time.
class ScratchMemory {
 public:
  /// The files are made in `directory`. They need no clean-up: their space is free again when the
  /// tensor is, also if the process is killed.
  explicit ScratchMemory(std::string directory, size_t budget = kBudget);
  ScratchMemory(const ScratchMemory&) = delete;
  ScratchMemory& operator=(const ScratchMemory&) = delete;
  ~ScratchMemory();

  static constexpr size_t kBudget = size_t{256} << 20;
};

}  // namespace checkpoint::cli
