#include "support/memory_file_system.h"
#include "support/catch.h"
#include "support/temporary_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

using checkpoint::store::FileSystem;
using test::DataFate;
using test::EntryFate;
using test::MemoryFileSystem;

namespace {

void write(FileSystem& fs, const std::string& path, const std::string& content, bool sync) {
  const int fd = fs.open(path.c_str(), O_WRONLY | O_CREAT, 0666);
  REQUIRE(fd >= 0);
  fs.pwrite(fd, content.data(), content.size(), 0);
  if (sync) fs.fsync(fd);
  fs.close(fd);
}

void sync_directory(FileSystem& fs, const std::string& path) {
  const int fd = fs.open(path.c_str(), O_RDONLY | O_DIRECTORY, 0);
  REQUIRE(fs.fsync(fd) == 0);
  fs.close(fd);
}

// What each of many calls answers, on a file system whose root for this is `root`.
std::vector<std::string> answers(FileSystem& fs, const std::string& root) {
  std::vector<std::string> said;
  const auto note = [&](const std::string& call, int64_t result) {
    said.push_back(call + ": " + (result < 0 ? "error " + std::to_string(errno) : "done"));
  };
  const auto at = [&](const std::string& name) { return root + '/' + name; };
  const auto open = [&](const std::string& name, int flags) {
    const int fd = fs.open(at(name).c_str(), flags, 0666);
    note("open " + name + ' ' + std::to_string(flags), fd);
    if (fd >= 0) note("close", fs.close(fd));
  };
  note("mkdir", fs.mkdir(at("d").c_str(), 0777));
  note("mkdir again", fs.mkdir(at("d").c_str(), 0777));
  note("mkdir below nothing", fs.mkdir(at("none/d").c_str(), 0777));
  open("d/f", O_WRONLY | O_CREAT | O_EXCL);
  open("d/f", O_WRONLY | O_CREAT | O_EXCL);
  open("none", O_RDONLY);
  open("d/f/g", O_RDONLY);
  open("d", O_RDONLY | O_DIRECTORY);
  open("d", O_WRONLY);
  open("d/f", O_RDONLY | O_DIRECTORY);
  open("d/../d/./f", O_RDONLY);
  open(std::string(300, 'x'), O_RDONLY);
  note("symlink", fs.symlink("d", at("l").c_str()));
  note("symlink again", fs.symlink("d", at("l").c_str()));
  note("symlink to itself", fs.symlink("loop", at("loop").c_str()));
  open("l/f", O_RDONLY);
  open("l", O_RDONLY | O_NOFOLLOW);
  open("loop", O_RDONLY);
  struct stat info;
  note("lstat", fs.lstat(at("l").c_str(), &info));
  said.push_back(S_ISLNK(info.st_mode) ? "a link" : "no link");
  note("lstat of nothing", fs.lstat(at("none").c_str(), &info));
  note("lstat below a file", fs.lstat(at("d/f/g").c_str(), &info));
  note("stat of a link", fs.stat(at("l").c_str(), &info));
  said.push_back(S_ISDIR(info.st_mode) ? "a directory" : "no directory");
  note("stat of nothing", fs.stat(at("none").c_str(), &info));
  note("stat of a loop", fs.stat(at("loop").c_str(), &info));
  std::string target;
  note("readlink", fs.readlink(at("l").c_str(), &target));
  said.push_back(target);
  note("link", fs.link(at("d/f").c_str(), at("d/h").c_str()));
  note("link over another", fs.link(at("d/f").c_str(), at("d/h").c_str()));
  note("link of nothing", fs.link(at("none").c_str(), at("d/i").c_str()));
  note("link of a directory", fs.link(at("d").c_str(), at("i").c_str()));
  note("link below nothing", fs.link(at("d/f").c_str(), at("none/i").c_str()));
  note("link of a symbolic link", fs.link(at("l").c_str(), at("d/i").c_str()));
  note("lstat of that", fs.lstat(at("d/i").c_str(), &info));
  said.push_back(S_ISLNK(info.st_mode) ? "a link" : "no link");
  note("unlink of it", fs.unlink(at("d/i").c_str()));
  struct stat other;
  note("lstat", fs.lstat(at("d/f").c_str(), &info));
  note("lstat of the other name", fs.lstat(at("d/h").c_str(), &other));
  said.push_back(info.st_ino == other.st_ino ? "one file" : "two files");
  said.push_back(std::to_string(info.st_nlink) + " names");
  note("unlink of one name", fs.unlink(at("d/h").c_str()));
  note("lstat", fs.lstat(at("d/f").c_str(), &info));
  said.push_back(std::to_string(info.st_nlink) + " name");
  note("readlink of nothing", fs.readlink(at("none").c_str(), &target));
  note("readlink of a file", fs.readlink(at("d/f").c_str(), &target));
  note("eaccess", fs.eaccess(at("d/f").c_str(), W_OK));
  note("eaccess of nothing", fs.eaccess(at("none").c_str(), W_OK));
  const int file = fs.open(at("d/f").c_str(), O_RDONLY, 0);
  note("fchmod", fs.fchmod(file, 0640));
  note("fchown", fs.fchown(file, static_cast<uid_t>(-1), static_cast<gid_t>(-1)));
  note("fstat", fs.fstat(file, &info));
  said.push_back("permissions " + std::to_string(info.st_mode & 07777));
  note("close", fs.close(file));
  note("fchmod of a closed one", fs.fchmod(file, 0640));
  note("fchown of a closed one", fs.fchown(file, 0, 0));
  std::vector<std::string> names;
  note("list", fs.list(at("d").c_str(), &names));
  said.push_back(std::to_string(names.size()) + " names");
  note("list of nothing", fs.list(at("none").c_str(), &names));
  note("list of a file", fs.list(at("d/f").c_str(), &names));
  note("rmdir of a full one", fs.rmdir(at("d").c_str()));
  note("rmdir of a file", fs.rmdir(at("d/f").c_str()));
  note("unlink of a directory", fs.unlink(at("d").c_str()));
  note("unlink of nothing", fs.unlink(at("none").c_str()));
  note("mkdir e", fs.mkdir(at("e").c_str(), 0777));
  note("rename over an empty one", fs.rename(at("d").c_str(), at("e").c_str()));
  note("mkdir d", fs.mkdir(at("d").c_str(), 0777));
  note("rename over a full one", fs.rename(at("d").c_str(), at("e").c_str()));
  note("rename over a file", fs.rename(at("d").c_str(), at("e/f").c_str()));
  note("rename of a file over a directory", fs.rename(at("e/f").c_str(), at("d").c_str()));
  note("rename of nothing", fs.rename(at("none").c_str(), at("f").c_str()));
  note("rename, not replacing", fs.rename_noreplace(at("e").c_str(), at("d").c_str()));
  note("rename to a free name", fs.rename_noreplace(at("e").c_str(), at("g").c_str()));
  note("rmdir", fs.rmdir(at("d").c_str()));
  note("unlink", fs.unlink(at("g/f").c_str()));
  const int first = fs.open(at("lock").c_str(), O_RDWR | O_CREAT, 0666);
  const int second = fs.open(at("lock").c_str(), O_RDWR | O_CREAT, 0666);
  note("flock", fs.flock(first, LOCK_EX | LOCK_NB));
  note("flock of another", fs.flock(second, LOCK_EX | LOCK_NB));
  note("unlink of an open file", fs.unlink(at("lock").c_str()));
  note("pwrite", fs.pwrite(first, "abc", 3, 2));
  char bytes[8];
  said.push_back("read " + std::to_string(fs.pread(second, bytes, 8, 1)) + " bytes");
  note("fstat", fs.fstat(second, &info));
  said.push_back("size " + std::to_string(info.st_size));
  note("close", fs.close(first));
  note("flock of a free one", fs.flock(second, LOCK_EX | LOCK_NB));
  note("close", fs.close(second));
  note("close again", fs.close(second));
  return said;
}

}  // namespace

TEST_CASE("The file system in memory answers as the real one") {
  const test::TemporaryDirectory root;
  MemoryFileSystem memory;
  CHECK(answers(memory, "") == answers(checkpoint::store::posix_file_system(), root.path()));
}

TEST_CASE("A machine's crash takes what was not synced, and leaves the rest") {
  MemoryFileSystem memory;
  memory.mkdir("/d", 0777);
  sync_directory(memory, "/");
  write(memory, "/d/both", "content", true);
  sync_directory(memory, "/d");
  write(memory, "/d/name", "content", false);
  write(memory, "/d/both", "CONT", false);
  using Names = std::vector<std::string>;
  SECTION("nothing reached the disk") {
    memory.crash(DataFate::kLost, EntryFate::kLost);
    CHECK(memory.names("/d") == Names{"both"});
    CHECK(memory.content("/d/both") == "content");
  }
  SECTION("all did") {
    memory.crash(DataFate::kKept, EntryFate::kKept);
    CHECK(memory.names("/d") == Names{"both", "name"});
    CHECK(memory.content("/d/both") == "CONTent");
  }
  SECTION("names did") {
    memory.crash(DataFate::kLost, EntryFate::kKept);
    CHECK(memory.content("/d/name").empty());
  }
  SECTION("half did") {
    memory.crash(DataFate::kTruncated, EntryFate::kKept);
    CHECK(memory.content("/d/name") == "con");
  }
  SECTION("others did") {
    memory.crash(DataFate::kGarbage, EntryFate::kKept);
    CHECK(memory.content("/d/name") != "content");
    CHECK(memory.content("/d/name").size() == 7);
  }
}

TEST_CASE("A rename that was not synced happens or does not; a failed fsync is not made good") {
  MemoryFileSystem memory;
  write(memory, "/old", "content", true);
  sync_directory(memory, "/");
  memory.rename("/old", "/new");
  MemoryFileSystem lost = memory;
  lost.crash(DataFate::kKept, EntryFate::kLost);
  CHECK(lost.names("/") == std::vector<std::string>{"old"});
  memory.crash(DataFate::kLost, EntryFate::kKept);
  CHECK(memory.names("/") == std::vector<std::string>{"new"});
  CHECK(memory.content("/new") == "content");

  const int fd = memory.open("/new", O_WRONLY, 0);
  memory.pwrite(fd, "CONTENT", 7, 0);
  memory.fail_sync(fd);
  CHECK(memory.fsync(fd) == 0);
  memory.crash(DataFate::kKept, EntryFate::kKept);
  CHECK(memory.content("/new") == "content");
}

TEST_CASE("The text of a file system says what a process can read there") {
  const auto text_after = [](const std::function<void(MemoryFileSystem&)>& change) {
    MemoryFileSystem memory;
    memory.mkdir("/runs", 0777);
    memory.put("/runs/a", "bytes");
    change(memory);
    return memory.text();
  };
  const std::string text = text_after([](MemoryFileSystem&) {});
  CHECK(text == text_after([](MemoryFileSystem& memory) { memory.put("/runs/a", "bytes"); }));
  CHECK(text != text_after([](MemoryFileSystem& memory) { memory.put("/runs/a", "bytez"); }));
  CHECK(text != text_after([](MemoryFileSystem& memory) { memory.rename("/runs/a", "/runs/b"); }));
  CHECK(text != text_after([](MemoryFileSystem& memory) { memory.mkdir("/runs/b", 0777); }));
  // A link to a file is not a copy of it, and not a symbolic link.
  const std::string linked =
      text_after([](MemoryFileSystem& memory) { memory.link("/runs/a", "/runs/b"); });
  CHECK(linked != text_after([](MemoryFileSystem& memory) { memory.put("/runs/b", "bytes"); }));
  CHECK(linked != text_after([](MemoryFileSystem& memory) { memory.symlink("a", "/runs/b"); }));
}
