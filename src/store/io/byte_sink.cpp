#include "store/io/byte_sink.h"

#include "base/crc32.h"
#include "base/digest.h"

namespace checkpoint::store {

void ByteSink::write_lasting(const void* data, size_t count, Sums* sums) {
  if (sums != nullptr) *sums = {base::crc32(0, data, count), base::Digest::of(data, count)};
  write(data, count);
}

void ByteSink::write_late(size_t count, const Fill& fill) {
  std::string bytes(count, '\0');
  fill(bytes.data());
  write(bytes.data(), bytes.size());
}

}  // namespace checkpoint::store
