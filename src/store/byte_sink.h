#pragma once

#include <cstddef>
#include <string>

namespace checkpoint::store {

/// Something that takes bytes one after the other. Not thread-safe.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual void write(const void* data, size_t count) = 0;
  /// The same for bytes that stay where and what they are until `drain` has returned or thrown:
  /// they need not be copied at once. By then `digest` holds their XXH3-128, as xxh3_128 gives it.
  virtual void write_lasting(const void* data, size_t count, std::string* digest);
  /// Waits until no lasting bytes are needed any more. Throws what taking them threw.
  virtual void drain() {}
};

}  // namespace checkpoint::store
