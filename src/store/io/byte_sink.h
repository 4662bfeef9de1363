#pragma once

#include <cstddef>
#include <string>

namespace checkpoint::store {

/// A place to write bytes to, one after the other. Not thread-safe.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  /// Takes `count` bytes. The caller may change them when it returns.
  virtual void write(const void* data, size_t count) = 0;
  /// Takes `count` bytes that need not be copied at once. The caller must keep them unchanged, and
  /// `digest` alive, until `drain` has returned or thrown. `digest` then has their XXH3-128, as
  /// base::xxh3_128 writes it.
  virtual void write_lasting(const void* data, size_t count, std::string* digest);
  /// Waits until the sink no longer needs any lasting bytes. Throws the error of earlier writes.
  virtual void drain() {}
};

/// Drains a sink at the end of a scope, also after an exception. For functions that own lasting
/// bytes or the strings for their digests: declare it after these, so that it is destroyed first.
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
