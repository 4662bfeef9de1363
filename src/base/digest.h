#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace checkpoint::base {

/// What is read or copied is digested in blocks of this size, while it is in the core's own cache.
constexpr size_t kBlockBytes = size_t{256} << 10;

/// Files are digested in chunks of this size, so that all cores can share the work.
constexpr size_t kChunkBytes = size_t{8} << 20;

/// XXH3-128 (https://github.com/Cyan4973/xxHash) of `count` bytes, as 32 lower-case hexadecimal
/// digits of its canonical form (most significant byte first).
std::string xxh3_128(const void* data, size_t count);

/// The same of bytes that come piece by piece. Movable. Not thread-safe.
class StreamDigest {
 public:
  StreamDigest();
  StreamDigest(StreamDigest&&) noexcept;
  StreamDigest& operator=(StreamDigest&&) noexcept;
  ~StreamDigest();

  void add(const void* data, size_t count);
  /// 32 hexadecimal digits, as xxh3_128 gives them.
  std::string finish() const;
  void reset();
  /// The digest's bytes in canonical form, for digests of digests.
  void finish_into(char* bytes) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How many bytes a digest has in canonical form.
constexpr size_t kDigestBytes = 16;

/// A file's digest: the XXH3-128 of the concatenated canonical XXH3-128 digests of its chunks of
/// kChunkBytes; the last chunk may be shorter, and an empty file has none. Not thread-safe.
class FileDigest {
 public:
  /// The next bytes, in pieces of any size.
  void add(const void* data, size_t count);
  /// Call it once, at the end.
  std::string finish();

 private:
  void end_chunk();

  StreamDigest chunk_;
  size_t in_chunk_ = 0;
  std::string chunk_digests_;
};

}  // namespace checkpoint::base
