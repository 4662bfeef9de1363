#pragma once

#include "base/digest.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace checkpoint::store {

/// What a sink computes of lasting bytes on their way.
struct Sums {
  uint32_t crc32 = 0;  ///< As base::crc32 computes it.
  base::Digest xxh3_128;
};

/// A place to write bytes to, one after the other. Not thread-safe.
class ByteSink {
 public:
  /// Writes its bytes to where the pointer points.
  using Fill = std::function<void(char* to)>;

  virtual ~ByteSink() = default;
  /// Takes `count` bytes. The caller may change them when it returns.
  virtual void write(const void* data, size_t count) = 0;
  /// Takes `count` bytes that need not be copied at once. The caller must keep them unchanged, and
  /// `sums` alive, until `drain` has returned or thrown. `sums` then has their checksums. It may be
  /// null if nobody needs them.
  virtual void write_lasting(const void* data, size_t count, Sums* sums);
  /// Takes `count` bytes that depend on the sums of the lasting bytes before them. `fill` writes
  /// them once these are known: at the latest in `drain`, perhaps on another thread. It must not
  /// use this sink.
  virtual void write_late(size_t count, const Fill& fill);
  /// Waits until the sink no longer needs any lasting bytes or `fill`. Throws the error of earlier
  /// writes.
  virtual void drain() {}
};

/// Drains a sink at the end of a scope, also after an exception. For functions that own lasting
/// bytes or their sums: declare it after these, so that it is destroyed first.
class DrainedAtEnd {
 public:
  explicit DrainedAtEnd(ByteSink& sink) : sink_(sink) {}
  ~DrainedAtEnd() {
    try {
      sink_.drain();
    } catch (...) {  // The first failure is already on its way to the caller.
    }
  }
  DrainedAtEnd(const DrainedAtEnd&) = delete;
  DrainedAtEnd& operator=(const DrainedAtEnd&) = delete;

 private:
  ByteSink& sink_;
};

}  // namespace checkpoint::store
