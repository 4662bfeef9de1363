#include "store/io/byte_source.h"

#include <checkpoint/error.h>

namespace checkpoint::store {

void throw_corrupt(const std::string& what, const ByteSource& source) {
  throw Error(ErrorCode::kCorrupt, what, source.name());
}

}  // namespace checkpoint::store
