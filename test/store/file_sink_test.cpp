#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/file_size_limit.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"

#include "base/crc32.h"
#include "store/io/file_sink.h"
#include "store/io/segments.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

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
  FileSink sink(fs, path, {content.size()});
  Sums sums;
  sink.write_lasting(content.data(), content.size(), &sums);
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
  std::vector<Sums> sums(pieces.size());
  std::vector<size_t> starts;
  size_t at = 0;
  for (size_t i = 0; i < pieces.size() && at < kLarge; ++i) {
    const size_t count = std::min(pieces[i], kLarge - at);
    starts.push_back(at);
    if (i % 2 == 0) {
      sink.write_lasting(content.data() + at, count, &sums[i]);
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
    CHECK(sums[i].xxh3_128 == base::Digest::of(content.data() + starts[i], count));
    CHECK(sums[i].crc32 == base::crc32(0, content.data() + starts[i], count));
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
                                   {reserved ? content.size() : 0});
                     Sums sums;
                     sink.write_lasting(content.data(), content.size(), &sums);
                     sink.finish("file");
                   }),
                   "no_space: "));
  }
}

TEST_CASE("A sink that is given up in the middle neither waits nor writes on") {
  const test::TemporaryDirectory root;
  const std::string content = noise(kLarge);
  Sums sums;
  for (int i = 0; i < 20; ++i) {
    FileSink sink(posix_file_system(), root / std::to_string(i));
    sink.write_lasting(content.data(), content.size(), &sums);
    sink.write(content);
  }
}

TEST_CASE("Late bytes are filled in when the sums before them are known, also across chunks") {
  const test::TemporaryDirectory root;
  const std::string content = noise(kLarge);
  // Tensors that end before, at and after the end of a chunk; late bytes that reach over it.
  const size_t before = base::kChunkBytes - GENERATE(size_t{100}, size_t{3}, size_t{0});
  std::string expected;
  {
    FileSink sink(posix_file_system(), root / "file");
    std::vector<Sums> sums(4);
    const std::vector<size_t> counts = {before, 1, 5 * base::kBlockBytes + 7, kLarge};
    for (size_t i = 0; i < counts.size(); ++i) {
      sink.write_lasting(content.data(), counts[i], &sums[i]);
      sink.write_late(8, [&, i](char* to) {
        std::copy_n(sums[i].xxh3_128.text().begin(), 4, to);
        std::copy_n(reinterpret_cast<const char*>(&sums[i].crc32), 4, to + 4);
      });
      const std::string whole = content.substr(0, counts[i]);
      const uint32_t crc32 = base::crc32(0, whole.data(), whole.size());
      expected += whole + base::xxh3_128(whole.data(), whole.size()).substr(0, 4) +
                  std::string(reinterpret_cast<const char*>(&crc32), 4);
    }
    CHECK(sink.finish("file").bytes == expected.size());
  }
  CHECK((test::read_file(root / "file") == expected));
  const File file = File::open(posix_file_system(), root / "file");
  CHECK(digest_of(file, expected.size()) == [&] {
    base::FileDigest digest;
    digest.add(expected.data(), expected.size());
    return digest.finish();
  }());
}

TEST_CASE("A failure while late bytes are filled in is the caller's") {
  const test::TemporaryDirectory root;
  const std::string content = noise(kLarge);
  FileSink sink(posix_file_system(), root / "file");
  Sums sums;
  sink.write_lasting(content.data(), content.size(), &sums);
  sink.write_late(8, [](char*) { throw std::runtime_error("no"); });
  const auto write_more = [&] {
    for (int i = 0; i < 20; ++i) sink.write_lasting(content.data(), content.size(), &sums);
    sink.drain();
  };
  CHECK_THROWS_WITH(write_more(), "no");
  CHECK_THROWS_WITH(sink.drain(), "no");
}

TEST_CASE("Only some threads write at a time, so that the others compute") {
  // A disk that takes longer than all else.
  class SlowDisk final : public test::FaultyFileSystem {
   public:
    ssize_t pwrite(int fd, const void* from, size_t count, off_t offset) override {
      const size_t now = ++writing_;
      for (size_t most = most_; now > most && !most_.compare_exchange_weak(most, now);) {
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(test::kSanitized ? 200 : 20));
      const ssize_t result = FaultyFileSystem::pwrite(fd, from, count, offset);
      --writing_;
      return result;
    }
    size_t most() const { return most_; }

   private:
    std::atomic<size_t> writing_{0};
    std::atomic<size_t> most_{0};
  };
  const test::TemporaryDirectory root;
  const std::string content = noise(12 * base::kChunkBytes);
  SlowDisk disk;
  write_lasting(disk, root / "file", content);
  CHECK(disk.most() <= FileSink::kWriters);
  CHECK(disk.most() > 1);
  CHECK((test::read_file(root / "file") == content));
}

TEST_CASE("A pool keeps the memory of a large file for the next one") {
  const test::TemporaryDirectory root;
  const std::string content = noise(kLarge);
  ChunkPool pool;
  const auto write = [&](FileSystem& fs, const std::string& name, size_t reserved) {
    FileSink sink(fs, root / name, {reserved, nullptr, &pool});
    Sums sums;
    sink.write_lasting(content.data(), content.size(), &sums);
    sink.finish("file");
  };
  const auto take_all = [&] {
    std::vector<std::unique_ptr<Chunk>> chunks;
    while (auto chunk = pool.take()) chunks.push_back(std::move(chunk));
    return chunks;
  };
  write(posix_file_system(), "small pages", 0);
  CHECK(take_all().empty());

  write(posix_file_system(), "first", kLarge);
  auto chunks = take_all();
  CHECK(chunks.size() == 3);
  const char* const memory = chunks.front()->data();
  chunks.resize(1);
  pool.put_back(std::move(chunks.front()));
  test::FaultyFileSystem faulty;
  faulty.fail(call_of(faulty, root / "probe", content, "pwrite"), EIO);
  CHECK_THROWS_AS(write(faulty, "failed", kLarge), Error);
  write(posix_file_system(), "second", kLarge);
  CHECK((test::read_file(root / "second") == content));
  chunks = take_all();
  CHECK(std::any_of(chunks.begin(), chunks.end(),
                    [&](const auto& chunk) { return chunk->data() == memory; }));
  for (const auto& chunk : chunks) CHECK(chunk->size() == 0);

  // A small file takes what is there, and leaves no small pages.
  chunks.resize(1);
  const char* const kept = chunks.front()->data();
  pool.put_back(std::move(chunks.front()));
  FileSink(posix_file_system(), root / "small file", {0, nullptr, &pool}).write("small");
  chunks = take_all();
  REQUIRE(chunks.size() == 1);
  CHECK(chunks.front()->data() == kept);
  CHECK(std::string(kept, 5) == "small");

  pool.put_back(std::move(chunks.front()));
  pool.release();
  CHECK(pool.take() == nullptr);
}

TEST_CASE("What was reserved and not written is given back") {
  const test::TemporaryDirectory root;
  const size_t size = GENERATE(size_t{0}, size_t{100}, base::kChunkBytes, kLarge);
  CAPTURE(size);
  const std::string content = noise(size);
  FileSink sink(posix_file_system(), root / "file", {size + base::kChunkBytes + 1});
  Sums sums;
  sink.write_lasting(content.data(), content.size(), &sums);
  CHECK(sink.finish("file").bytes == size);
  CHECK(test::read_file(root / "file") == content);
}
