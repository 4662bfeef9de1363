#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace checkpoint::base {

/// Bytes that are read or copied are digested in blocks of this size, while they are still in the
/// core's own cache.
constexpr size_t kBlockBytes = size_t{256} << 10;

/// Files are digested in chunks of this size, so that all cores can share the work.
constexpr size_t kChunkBytes = size_t{8} << 20;

/// An XXH3-128 (https://github.com/Cyan4973/xxHash) as 32 lower-case hexadecimal digits of its
/// canonical form (most significant byte first), or empty. A checkpoint has one for each tensor,
/// so it has no memory of its own.
class Digest {
 public:
  static constexpr size_t kDigits = 32;

  /// Makes an empty digest.
  Digest() = default;
  /// Returns the digest of `count` bytes.
  static Digest of(const void* data, size_t count);
  /// Returns the digest that a text of kDigits characters says. For "" returns the empty digest,
  /// and for a text of another length nothing.
  static std::optional<Digest> from(std::string_view text);

  /// Returns the digits, or "".
  std::string_view text() const { return {digits_.data(), is_known_ ? kDigits : 0}; }

  friend bool operator==(const Digest& left, const Digest& right) {
    return left.text() == right.text();
  }
  friend bool operator!=(const Digest& left, const Digest& right) { return !(left == right); }

 private:
  friend class StreamDigest;
  static Digest from_canonical(std::string_view bytes);

  std::array<char, kDigits> digits_ = {};
  bool is_known_ = false;
};

/// Returns the digits of Digest::of.
std::string xxh3_128(const void* data, size_t count);

/// The XXH3-128 of bytes that come piece by piece. Movable. Not thread-safe.
class StreamDigest {
 public:
  StreamDigest();
  StreamDigest(StreamDigest&&) noexcept;
  StreamDigest& operator=(StreamDigest&&) noexcept;
  ~StreamDigest();

  /// Adds the next bytes.
  void add(const void* data, size_t count);
  /// Returns the digest of all of them.
  Digest finish() const;
  /// Starts again without bytes.
  void reset();
  /// Writes the digest's kDigestBytes bytes in canonical form, for digests of digests.
  void finish_into(char* bytes) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The size of a digest in canonical form.
constexpr size_t kDigestBytes = 16;

/// A file's digest. The file is cut into chunks of kChunkBytes; the last one may be shorter, and an
/// empty file has 0 chunks. The digest is the XXH3-128 of the chunks' XXH3-128 digests in canonical
/// form, one after the other. Not thread-safe.
class FileDigest {
 public:
  /// Adds the next bytes, in pieces of any size.
  void add(const void* data, size_t count);
  /// Returns the digest as 32 hexadecimal digits. Call it once, at the end.
  std::string finish();

 private:
  void end_chunk();

  StreamDigest chunk_;
  size_t in_chunk_ = 0;
  std::string chunk_digests_;
};

}  // namespace checkpoint::base
