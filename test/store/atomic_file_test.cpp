#include "support/catch.h"
#include "support/error_of.h"
#include "support/faulty_file_system.h"
#include "support/temporary_directory.h"

#include "store/io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <set>

using namespace checkpoint;
using namespace checkpoint::store;
namespace fs = std::filesystem;

namespace {

void write_new(FileSystem& fs, const std::string& path) {
  write_atomically(fs, path, [](ByteSink& sink) { sink.write("new!", 4); });
}

struct stat info_of(FileSystem& fs, const std::string& path) {
  struct stat info = {};
  REQUIRE(fs.lstat(path.c_str(), &info) == 0);
  return info;
}

mode_t permissions_of(FileSystem& fs, const std::string& path) {
  return info_of(fs, path).st_mode & 07777;
}

// A file of another user.
void put_foreign(test::MemoryFileSystem& memory, mode_t permissions) {
  memory.put("/d/file", "old");
  const int fd = memory.open("/d/file", O_RDONLY, 0);
  memory.fchown(fd, 7, 8);
  memory.fchmod(fd, permissions);
  memory.close(fd);
}

// A file system as an ordinary user sees it, who may give files only to the group `own_group`.
class OrdinaryUser final : public test::MemoryFileSystem {
 public:
  explicit OrdinaryUser(gid_t own_group) : own_group_(own_group) {}
  int fchown(int fd, uid_t owner, gid_t group) override {
    if (!prepared_ || (owner == static_cast<uid_t>(-1) && group == own_group_)) {
      return MemoryFileSystem::fchown(fd, owner, group);
    }
    errno = EPERM;
    return -1;
  }
  void begin() { prepared_ = true; }

 private:
  gid_t own_group_;
  bool prepared_ = false;
};

class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  ~Umask() { ::umask(before_); }

 private:
  mode_t before_;
};

// Changes the effective user of this process until the end of the scope. Needs root.
class EffectiveUser {
 public:
  explicit EffectiveUser(uid_t user) : changed_(::setegid(user) == 0 && ::seteuid(user) == 0) {}
  ~EffectiveUser() {
    if (::seteuid(0) != 0 || ::setegid(0) != 0) std::abort();
  }
  bool changed() const { return changed_; }

 private:
  bool changed_;
};

}  // namespace

TEST_CASE("Whichever call fails, the file is the old one or the new one, whole") {
  for (int call = 0;; ++call) {
    const test::TemporaryDirectory root;
    test::write_file(root / "file", "old");
    test::FaultyFileSystem faulty;
    faulty.fail(call, EIO);
    const std::string error = error_of([&] {
      write_atomically(faulty, root / "file", [](ByteSink& sink) { sink.write("new!", 4); });
    });
    INFO("call " << call);
    const std::string content = test::read_file(root / "file");
    if (error.empty()) {
      CHECK(content == "new!");
    } else {
      CHECK((content == "old" || content == "new!"));
    }
    CHECK(test::names_in(root.path()) == std::vector<std::string>{"file"});
    if (call >= static_cast<int>(faulty.calls().size())) break;
  }
}

TEST_CASE("Wherever the machine stops, the path has the old file or the whole new one") {
  test::MemoryFileSystem prepared;
  prepared.put("/d/file", "old");
  const auto write = [](FileSystem& fs) {
    write_atomically(fs, "/d/file", [](ByteSink& sink) { sink.write("new!", 4); });
  };
  for (int call = 0;; ++call) {
    test::MemoryFileSystem memory = prepared;
    test::FaultyFileSystem faulty(memory);
    faulty.arm(call, {test::Fault::Kind::kStop});
    bool succeeded = true;
    try {
      write(faulty);
    } catch (const Error&) {
      succeeded = false;
    }
    for (const auto data : {test::DataFate::kLost, test::DataFate::kKept,
                            test::DataFate::kTruncated, test::DataFate::kGarbage}) {
      for (const auto entries :
           {test::EntryFate::kLost, test::EntryFate::kKept, test::EntryFate::kSome}) {
        test::MemoryFileSystem after = memory;
        after.crash(data, entries, static_cast<uint32_t>(call));
        INFO("call " << call);
        const std::string content = after.content("/d/file");
        CHECK((content == "new!" || (content == "old" && !succeeded)));
      }
    }
    if (call >= static_cast<int>(faulty.calls().size())) break;
  }
}

TEST_CASE("The target of a link is replaced, not the link") {
  const test::TemporaryDirectory root;
  fs::create_directories(root / "elsewhere");
  test::write_file(root / "elsewhere/file", "old");
  fs::create_symlink("elsewhere/file", root / "link");
  write_new(posix_file_system(), root / "link");
  CHECK(fs::is_symlink(root / "link"));
  CHECK(test::read_file(root / "elsewhere/file") == "new!");
}

TEST_CASE("The target of a dangling link is created, also through other links") {
  const test::TemporaryDirectory root;
  fs::create_directories(root / "elsewhere");
  fs::create_symlink("target", root / "elsewhere/second");
  fs::create_symlink("elsewhere/second", root / "first");
  fs::create_symlink(root / "far/away/target", root / "absolute");
  write_new(posix_file_system(), root / "first");
  write_new(posix_file_system(), root / "absolute");
  CHECK(fs::is_symlink(root / "first"));
  CHECK(fs::is_symlink(root / "elsewhere/second"));
  CHECK(fs::is_symlink(root / "absolute"));
  CHECK(test::read_file(root / "elsewhere/target") == "new!");
  CHECK(test::read_file(root / "far/away/target") == "new!");
  const test::WorkingDirectory here(root / "elsewhere");
  fs::create_symlink("beside", "relative");
  write_new(posix_file_system(), "relative");
  CHECK(test::read_file("beside") == "new!");
}

TEST_CASE("Links in a circle are an error, and stay") {
  const test::TemporaryDirectory root;
  fs::create_symlink("b", root / "a");
  fs::create_symlink("a", root / "b");
  const std::string error = error_of([&] { write_new(posix_file_system(), root / "a"); });
  CHECK(contains(error, "io: "));
  CHECK(contains(error, root / "a"));
  CHECK(contains(error, "circle"));
  CHECK(test::names_in(root.path()) == std::vector<std::string>{"a", "b"});
  CHECK(fs::is_symlink(root / "a"));
}

TEST_CASE("A file that is replaced passes its permissions on; a new one has those of the umask") {
  const test::TemporaryDirectory root;
  for (const mode_t mask : {0, 022, 077}) {
    const Umask umask(mask);
    for (const mode_t mode : {0200, 0600, 0640, 0660, 0666, 0604, 0755}) {
      test::write_file(root / "file", "old");
      REQUIRE(::chmod((root / "file").c_str(), mode) == 0);
      write_new(posix_file_system(), root / "file");
      INFO(std::oct << mode << " under " << mask);
      CHECK(permissions_of(posix_file_system(), root / "file") == mode);
      fs::remove(root / "file");
    }
    write_new(posix_file_system(), root / "fresh");
    CHECK(permissions_of(posix_file_system(), root / "fresh") == (0666 & ~mask));
    fs::remove(root / "fresh");
  }
}

TEST_CASE("Set-user-ID does not pass to the new file") {
  const test::TemporaryDirectory root;
  test::write_file(root / "file", "old");
  REQUIRE(::chmod((root / "file").c_str(), 06755) == 0);
  write_new(posix_file_system(), root / "file");
  CHECK(permissions_of(posix_file_system(), root / "file") == 0755);
}

TEST_CASE("Root keeps the owner and the group of the file that it replaces") {
  if (::geteuid() != 0) {
    WARN("skipped: only root may give files away");
    return;
  }
  const test::TemporaryDirectory root;
  test::write_file(root / "file", "old");
  REQUIRE(::chown((root / "file").c_str(), 12345, 12346) == 0);
  REQUIRE(::chmod((root / "file").c_str(), 0660) == 0);
  write_new(posix_file_system(), root / "file");
  const struct stat now = info_of(posix_file_system(), root / "file");
  CHECK(now.st_uid == 12345);
  CHECK(now.st_gid == 12346);
  CHECK((now.st_mode & 07777) == 0660);
}

TEST_CASE("Where the group cannot be kept, no other group may do more than before") {
  for (const auto& [before, after] : std::vector<std::pair<mode_t, mode_t>>{
           {0600, 0600}, {0660, 0600}, {0664, 0644}, {0604, 0600}, {0755, 0755}, {0666, 0666}}) {
    OrdinaryUser memory(5);
    put_foreign(memory, before);
    memory.begin();
    write_new(memory, "/d/file");
    INFO(std::oct << before);
    CHECK(memory.content("/d/file") == "new!");
    CHECK(info_of(memory, "/d/file").st_gid == 0);
    CHECK(permissions_of(memory, "/d/file") == after);
  }
}

TEST_CASE("A group that the user belongs to keeps its file, though the owner changes") {
  OrdinaryUser memory(8);
  put_foreign(memory, 0660);
  memory.begin();
  write_new(memory, "/d/file");
  CHECK(info_of(memory, "/d/file").st_uid == 0);
  CHECK(info_of(memory, "/d/file").st_gid == 8);
  CHECK(permissions_of(memory, "/d/file") == 0660);
}

TEST_CASE("A write-protected file is refused, also for root, and the error says what to do") {
  const test::TemporaryDirectory root;
  test::write_file(root / "file", "old");
  fs::create_symlink("file", root / "link");
  for (const mode_t mode : {0444, 0400, 0000, 0464}) {
    REQUIRE(::chmod((root / "file").c_str(), mode) == 0);
    for (const char* name : {"file", "link"}) {
      const std::string error = error_of([&] { write_new(posix_file_system(), root / name); });
      INFO(std::oct << mode << ": " << error);
      CHECK(contains(error, "io: "));
      CHECK(contains(error, root / "file"));
      CHECK(contains(error, "chmod u+w"));
    }
    CHECK(permissions_of(posix_file_system(), root / "file") == mode);
  }
  REQUIRE(::chmod((root / "file").c_str(), 0600) == 0);
  CHECK(test::read_file(root / "file") == "old");
  CHECK(test::names_in(root.path()) == std::vector<std::string>{"file", "link"});
}

TEST_CASE(
    "Another user's file is refused if not writable, otherwise replaced without more access") {
  if (::geteuid() != 0) {
    WARN("skipped: only root can ask as another user");
    return;
  }
  const test::TemporaryDirectory root;
  REQUIRE(::chmod(root.path().c_str(), 0777) == 0);
  for (const char* name : {"closed", "open"}) {
    test::write_file(root / name, "old");
    REQUIRE(::chown((root / name).c_str(), 12345, 12346) == 0);
    REQUIRE(::chmod((root / name).c_str(), name == std::string("open") ? 0662 : 0664) == 0);
  }
  std::string refused, written;
  {
    const EffectiveUser nobody(65534);
    REQUIRE(nobody.changed());
    refused = error_of([&] { write_new(posix_file_system(), root / "closed"); });
    written = error_of([&] { write_new(posix_file_system(), root / "open"); });
  }
  CHECK(contains(refused, "write-protected"));
  CHECK(test::read_file(root / "closed") == "old");
  CHECK(written.empty());
  CHECK(test::read_file(root / "open") == "new!");
  CHECK(info_of(posix_file_system(), root / "open").st_uid == 65534);
  CHECK(permissions_of(posix_file_system(), root / "open") == 0622);
}

TEST_CASE("Whichever call fails, the path has the old file or a new one with the same access") {
  test::MemoryFileSystem prepared;
  put_foreign(prepared, 0640);
  prepared.symlink("d/file", "/link");
  std::set<std::string> met;
  test::MemoryFileSystem without_fault = prepared;
  test::FaultyFileSystem listing(without_fault);
  write_new(listing, "/link");
  const std::vector<std::string> calls = listing.calls();
  for (size_t call = 0; call < calls.size(); ++call) {
    met.insert(calls[call]);
    for (const test::Fault& fault : test::faults_by_call().at(calls[call])) {
      test::MemoryFileSystem memory = prepared;
      test::FaultyFileSystem faulty(memory);
      faulty.arm(static_cast<int>(call), fault);
      const std::string error = error_of([&] { write_new(faulty, "/link"); });
      INFO("call " << call << ", " << calls[call] << ' ' << fault.text() << ": " << error);
      if (fault.harmless) CHECK(error.empty());
      const std::string content = memory.content("/d/file");
      CHECK((content == "new!" || (content == "old" && !error.empty())));
      CHECK(memory.names("/d") == std::vector<std::string>{"file"});
      CHECK(info_of(memory, "/d/file").st_gid == 8);
      CHECK(permissions_of(memory, "/d/file") == 0640);
    }
  }
  for (const char* call : {"stat", "readlink", "eaccess", "fchown", "fchmod"}) {
    INFO(call);
    CHECK(met.count(call) == 1);
  }
}

TEST_CASE("A user who may not read the old file can never open the hidden one") {
  for (const mode_t mode : {0200, 0600, 0640, 0604}) {
    test::MemoryFileSystem prepared;
    put_foreign(prepared, mode);
    bool seen = false;
    for (int call = 0;; ++call) {
      test::MemoryFileSystem memory = prepared;
      test::FaultyFileSystem faulty(memory);
      faulty.arm(call, {test::Fault::Kind::kStop});
      error_of([&] { write_new(faulty, "/d/file"); });
      for (const std::string& name : memory.names("/d")) {
        const struct stat info = info_of(memory, "/d/" + name);
        INFO("after call " << call << ", " << std::oct << mode << " is " << info.st_mode);
        CHECK((info.st_mode & 0777 & ~mode) == 0);
        CHECK((info.st_gid == 8 || (info.st_mode & 0077) == 0));
        seen = seen || name != "file";
      }
      if (call >= static_cast<int>(faulty.calls().size())) break;
    }
    CHECK(seen);
  }
}

TEST_CASE("Only a regular file is replaced") {
  const test::TemporaryDirectory root;
  fs::create_directories(root / "directory");
  REQUIRE(::mkfifo((root / "pipe").c_str(), 0600) == 0);
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  fs::create_symlink("/proc/self/fd/" + std::to_string(ends[1]), root / "like stdout");
  const int deleted = ::open((root / "deleted").c_str(), O_RDWR | O_CREAT, 0600);
  REQUIRE(deleted >= 0);
  fs::remove(root / "deleted");
  fs::create_symlink("/proc/self/fd/" + std::to_string(deleted), root / "like a deleted one");
  for (const char* name : {"like stdout", "like a deleted one", "directory", "pipe"}) {
    CHECK(contains(error_of([&] {
                     write_atomically(posix_file_system(), root / name,
                                      [](ByteSink& sink) { sink.write("new!", 4); });
                   }),
                   "invalid_argument: "));
  }
  ::close(ends[0]);
  ::close(ends[1]);
  ::close(deleted);
  CHECK(fs::is_symlink(root / "like stdout"));
  CHECK(fs::is_directory(root / "directory"));
  CHECK(fs::is_fifo(root / "pipe"));
  CHECK(test::names_in(root.path()).size() == 4);
}
