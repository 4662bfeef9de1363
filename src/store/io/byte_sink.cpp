#include "store/io/byte_sink.h"

#include "base/digest.h"

namespace checkpoint::store {

void ByteSink::write_lasting(const void* data, size_t count, std::string* digest) {
  *digest = base::xxh3_128(data, count);
  write(data, count);
}

}  // namespace checkpoint::store
