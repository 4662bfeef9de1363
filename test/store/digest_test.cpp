#include "support/catch.h"
#include "support/temporary_directory.h"

#include "base/digest.h"
#include "store/io/file.h"
#include "store/io/file_sink.h"
#include "store/io/segments.h"

#include <checkpoint/error.h>

using namespace checkpoint;
using namespace checkpoint::store;

TEST_CASE("xxh3_128 is the reference's digest") {
  // From xxHash's own sanity checks and xxhsum: the digest of no bytes and of "abc".
  CHECK(base::xxh3_128("", 0) == "99aa06d3014798d86001c324468d497f");
  CHECK(base::xxh3_128("abc", 3) == "06b05ab6733a618578af5f94892f3950");
}

TEST_CASE("A digest has 32 digits, or is empty") {
  CHECK(base::Digest().text().empty());
  CHECK(base::Digest::of("abc", 3).text() == base::xxh3_128("abc", 3));
  CHECK(base::Digest::from("") == base::Digest());
  CHECK(base::Digest::from(base::xxh3_128("abc", 3)) == base::Digest::of("abc", 3));
  CHECK(base::Digest::from(base::xxh3_128("abc", 3)) != base::Digest::of("abd", 3));
  CHECK_FALSE(base::Digest::from(std::string(31, '0')));
  CHECK_FALSE(base::Digest::from(std::string(33, '0')));
}

TEST_CASE("A file's digest is that of its chunks' digests") {
  const test::TemporaryDirectory directory;
  const uint64_t size = GENERATE(uint64_t{0}, uint64_t{1}, uint64_t{base::kChunkBytes} - 1,
                                 uint64_t{base::kChunkBytes}, 3 * uint64_t{base::kChunkBytes} + 17);
  std::string content(size, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 + i / 4099);

  FileSink sink(posix_file_system(), directory / "file");
  // In uneven pieces, so that chunks are put together from several.
  for (size_t at = 0; at < content.size(); at += 1000003) {
    sink.write(content.data() + at, std::min<size_t>(1000003, content.size() - at));
  }
  const FileEntry written = sink.finish("file");

  CHECK(written.bytes == size);
  CHECK((test::read_file(directory / "file") == content));
  const File file = File::open(posix_file_system(), directory / "file");
  CHECK(digest_of(file, size) == written.xxh3_128);
  base::FileDigest serial;
  for (size_t at = 0; at < content.size(); at += base::kChunkBytes) {
    serial.add(content.data() + at, std::min(base::kChunkBytes, content.size() - at));
  }
  CHECK(serial.finish() == written.xxh3_128);
}

TEST_CASE("Reading past the end of a file is an error, not a crash") {
  const test::TemporaryDirectory directory;
  test::write_file(directory / "file", "short");
  const File file = File::open(posix_file_system(), directory / "file");
  char buffer[16];
  try {
    file.read_at(0, buffer, sizeof buffer);
    FAIL("read past the end");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kCorrupt);
    CHECK(error.path() == directory / "file");
  }
  CHECK_THROWS_AS(digest_of(file, 6), Error);
}
