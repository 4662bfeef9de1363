#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace checkpoint::store {

/// Something that can be read at any place: a file, or bytes in memory.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Its name in error texts: a path.
  virtual const std::string& name() const = 0;
  virtual uint64_t size() const = 0;
  /// Reads exactly `count` bytes at `offset` into `to`. Thread-safe. Throws Error(corrupt) where
  /// the end comes first, Error(io) where the system fails.
  virtual void read_at(uint64_t offset, void* to, size_t count) const = 0;
  /// Announces what will be read soon, so that the system can fetch it. A hint. Thread-safe.
  virtual void will_read(uint64_t /*offset*/, uint64_t /*count*/) const {}
};

/// Throws Error(corrupt): the bytes of `source` are not what was written. `what` says what is
/// wrong.
[[noreturn]] void throw_corrupt(const std::string& what, const ByteSource& source);

}  // namespace checkpoint::store
