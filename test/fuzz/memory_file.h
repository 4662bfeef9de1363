#pragma once

#include "format/map_tensors.h"
#include "format/read_file.h"
#include "format/tensor_loader.h"
#include "store/byte_source.h"

#include <checkpoint/error.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace test {

/// Bytes in memory, as if they were a file.
class MemoryFile final : public checkpoint::store::ByteSource {
 public:
  MemoryFile(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  void read_at(uint64_t offset, void* to, size_t count) const override {
    if (offset > size_ || count > size_ - offset) {
      throw checkpoint::Error(checkpoint::ErrorCode::kCorrupt, "read past the end", name_);
    }
    if (count > 0) std::memcpy(to, data_ + offset, count);
  }

 private:
  const uint8_t* data_;
  size_t size_;
  std::string name_ = "memory";
};

/// Reads a file of any format with all its tensors, as `load` does. Aborts if a tensor has more
/// bytes than the file.
inline void load_all(const checkpoint::store::ByteSource& source) {
  using namespace checkpoint::format;
  const DecodedArchive archive = read_file(source);
  TensorLoader loader(source, archive, nullptr);
  map_tensors(archive.tree(), [&](const at::Tensor& placeholder) {
    const at::Tensor tensor = loader.load(placeholder);
    if (tensor.storage().nbytes() > source.size()) std::abort();
    return tensor;
  });
}

}  // namespace test
