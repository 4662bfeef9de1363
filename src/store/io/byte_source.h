#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace checkpoint::store {

/// Bytes that can be read at any offset: a file, or memory.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Returns its name for error texts: a path.
  virtual const std::string& name() const = 0;
  virtual uint64_t size() const = 0;
  /// Reads exactly `count` bytes at `offset` into `to`. Thread-safe. Throws Error: corrupt if the
  /// source ends before that, io if the system fails.
  virtual void read_at(uint64_t offset, void* to, size_t count) const = 0;
  /// Returns the bytes at `offset` where they lie in memory: at most `count`, fewer where they do
  /// not lie in one piece, none if they are not there. They stay until this is used again.
  virtual std::string_view view(uint64_t /*offset*/, size_t /*count*/) const { return {}; }
  /// Tells the system what will be read soon, so that it can fetch that. Only a hint. Thread-safe.
  virtual void will_read(uint64_t /*offset*/, uint64_t /*count*/) const {}
  /// Whether reading at `offset` does not need the disk. Thread-safe.
  virtual bool is_cached(uint64_t /*offset*/) const { return true; }
  /// Returns the same bytes, read past the page cache: offsets, sizes and memory must be multiples
  /// of kDirectAlignment. Null if this source cannot do that. This must outlive the result.
  virtual std::unique_ptr<ByteSource> past_cache() const { return nullptr; }
};

/// Throws Error(corrupt) with the message `what` and the name of `source`.
[[noreturn]] void throw_corrupt(const std::string& what, const ByteSource& source);

}  // namespace checkpoint::store
