#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/file_size_limit.h"
#include "support/temporary_directory.h"

#include "store/io/file_sink.h"
#include "store/io/segments.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <stdexcept>

#include <unistd.h>

using namespace checkpoint;
using namespace checkpoint::store;

namespace {

std::string noise(size_t size) {
  std::string content(size, '\0');
  uint64_t x = size + 1;
  for (char& c : content) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(x >> 56);
  }
  return content;
}

constexpr size_t kLarge = 2 * base::kChunkBytes + 3 * kDirectAlignment + 17;

FileEntry write_lasting(FileSystem& fs, const std::string& path, const std::string& content) {
  FileSink sink(fs, path, content.size());
  std::string digest;
  sink.write_lasting(content.data(), content.size(), &digest);
  return sink.finish("file");
}

// The first call of that name, counted from 0.
int call_of(test::FaultyFileSystem& faulty, const std::string& path, const std::string& content,
            const std::string& name) {
  faulty.fail(-1, 0);
  write_lasting(faulty, path, content);
  const auto found = std::find(faulty.calls().begin(), faulty.calls().end(), name);
  REQUIRE(found != faulty.calls().end());
  return static_cast<int>(found - faulty.calls().begin());
}

}  // namespace

TEST_CASE("Lasting bytes and others arrive in order, with a digest of each") {
  const test::TemporaryDirectory root;
  const std::string content = noise(kLarge);
  std::vector<size_t> pieces = {1, 63, 70000, 3, base::kChunkBytes, 100, 0, 200000, 64};
  for (size_t sum = 8659231; sum < kLarge; sum += 1000003) pieces.push_back(1000003);

  FileSink sink(posix_file_system(), root / "file");
  std::vector<std::string> digests(pieces.size());
  std::vector<size_t> starts;
  size_t at = 0;
  for (size_t i = 0; i < pieces.size() && at < kLarge; ++i) {
    const size_t count = std::min(pieces[i], kLarge - at);
    starts.push_back(at);
    if (i % 2 == 0) {
      sink.write_lasting(content.data() + at, count, &digests[i]);
    } else {
      std::string passing = content.substr(at, count);
      sink.write(passing);
      std::fill(passing.begin(), passing.end(), '?');
    }
    at += count;
  }
  sink.write(content.data() + at, kLarge - at);
  sink.drain();
  for (size_t i = 0; i < starts.size(); i += 2) {
    const size_t count = std::min(pieces[i], kLarge - starts[i]);
    CHECK(digests[i] == base::xxh3_128(content.data() + starts[i], count));
  }
  const FileEntry entry = sink.finish("file");
  CHECK(entry.bytes == kLarge);
  CHECK((test::read_file(root / "file") == content));
  CHECK(entry.xxh3_128 == digest_of(File::open(posix_file_system(), root / "file"), kLarge));
}

TEST_CASE("A file system that refuses direct writes still gets the whole file") {
  const test::TemporaryDirectory root;
  const std::string content = noise(kLarge);
  test::FaultyFileSystem faulty;
  SECTION("when they are switched on") {
    faulty.fail(call_of(faulty, root / "probe", content, "set_direct"), EINVAL);
  }
  SECTION("at the first write") {
    faulty.fail(call_of(faulty, root / "probe", content, "pwrite"), EINVAL);
  }
  SECTION("at the second write") {
    faulty.fail(call_of(faulty, root / "probe", content, "pwrite") + 1, EINVAL);
  }
  SECTION("and cannot reserve room") {
    faulty.fail(call_of(faulty, root / "probe", content, "allocate"), EOPNOTSUPP);
  }
  CHECK(write_lasting(faulty, root / "file", content).bytes == kLarge);
  CHECK((test::read_file(root / "file") == content));
}

TEST_CASE("A file in memory") {
  if (!std::filesystem::is_directory("/dev/shm")) return;
  const std::string path = "/dev/shm/torch-checkpoint-test-" + std::to_string(::getpid());
  const std::string content = noise(kLarge);
  CHECK(write_lasting(posix_file_system(), path, content).bytes == kLarge);
  CHECK((test::read_file(path) == content));
  std::filesystem::remove(path);
}

TEST_CASE("Whatever call of a large file fails, the file is whole or the failure is thrown") {
  const test::TemporaryDirectory root;
  const std::string content = noise(kLarge);
  test::FaultyFileSystem faulty;
  faulty.fail(-1, 0);
  write_lasting(faulty, root / "probe", content);
  const std::vector<std::string> calls = faulty.calls();
  CHECK(std::count(calls.begin(), calls.end(), "pwrite") == 4);
  for (int call = 0; call < static_cast<int>(calls.size()); ++call) {
    for (const bool for_good : {false, true}) {
      INFO(calls[call] << ", call " << call << (for_good ? " and all later ones" : ""));
      const auto kind = for_good ? test::Fault::Kind::kStop : test::Fault::Kind::kError;
      faulty.arm(call, {kind, EIO});
      const std::string error = error_of([&] { write_lasting(faulty, root / "file", content); });
      faulty.heal();
      if (error.empty()) CHECK((test::read_file(root / "file") == content));
      if (calls[call] == "pwrite" || calls[call] == "fsync") CHECK(contains(error, "io: "));
      std::filesystem::remove(root / "file");
    }
  }
}

TEST_CASE("A disk without enough room fails before anything is written") {
  const test::TemporaryDirectory root;
  const std::string content = noise(kLarge);
  test::FaultyFileSystem faulty;
  faulty.fail(call_of(faulty, root / "probe", content, "allocate"), ENOSPC);
  CHECK(contains(error_of([&] { write_lasting(faulty, root / "file", content); }), "no_space: "));
  CHECK(std::count(faulty.calls().begin(), faulty.calls().end(), "pwrite") == 0);
}

TEST_CASE("A size limit in the middle of a large file is no_space") {
  const test::TemporaryDirectory root;
  const std::string content = noise(kLarge);
  const test::FileSizeLimit limit(base::kChunkBytes + 5);
  for (const bool reserved : {false, true}) {
    CHECK(contains(error_of([&] {
                     FileSink sink(posix_file_system(), root / (reserved ? "a" : "b"),
                                   reserved ? content.size() : 0);
                     std::string digest;
                     sink.write_lasting(content.data(), content.size(), &digest);
                     sink.finish("file");
                   }),
                   "no_space: "));
  }
}

TEST_CASE("A sink that is given up in the middle neither waits nor writes on") {
  const test::TemporaryDirectory root;
  const std::string content = noise(kLarge);
  std::string digest;
  for (int i = 0; i < 20; ++i) {
    FileSink sink(posix_file_system(), root / std::to_string(i));
    sink.write_lasting(content.data(), content.size(), &digest);
    sink.write(content);
  }
}

TEST_CASE("A worker drops what comes after a failure, and throws it until the end") {
  base::Worker worker(1000);
  int done = 0;
  worker.push([&] { ++done; }, 1);
  worker.push([] { throw std::runtime_error("no"); }, 1);
  CHECK_THROWS_AS(worker.finish(), std::runtime_error);
  CHECK_THROWS_AS(worker.push([&] { ++done; }, 1), std::runtime_error);
  CHECK_THROWS_AS(worker.finish(), std::runtime_error);
  CHECK(done == 1);
}

TEST_CASE("What was reserved and not written is given back") {
  const test::TemporaryDirectory root;
  const size_t size = GENERATE(size_t{0}, size_t{100}, base::kChunkBytes, kLarge);
  CAPTURE(size);
  const std::string content = noise(size);
  FileSink sink(posix_file_system(), root / "file", size + base::kChunkBytes + 1);
  std::string digest;
  sink.write_lasting(content.data(), content.size(), &digest);
  CHECK(sink.finish("file").bytes == size);
  CHECK(test::read_file(root / "file") == content);
}
