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

/// For who owns lasting bytes, or places of digests: however he is left, the sink needs them no
/// more. Declare it behind what it guards.
class DrainedAtEnd {
 public:
  explicit DrainedAtEnd(ByteSink& sink) : sink_(sink) {}
  ~DrainedAtEnd() {
    try {
      sink_.drain();
    } catch (...) {  // What failed first is what is reported.
    }
  }
  DrainedAtEnd(const DrainedAtEnd&) = delete;
  DrainedAtEnd& operator=(const DrainedAtEnd&) = delete;

 private:
  ByteSink& sink_;
};

}  // namespace checkpoint::store
