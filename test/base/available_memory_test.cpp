#include "base/available_memory.h"
#include "support/catch.h"
#include "support/temporary_directory.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

using namespace checkpoint::base;

namespace {

constexpr uint64_t kMebibyte = uint64_t{1} << 20;

// A folder with the files of a system that has 1000 MiB available.
class FakeSystem {
 public:
  FakeSystem() {
    write("/proc/meminfo",
          "MemTotal:        4096000 kB\nMemFree:          512000 kB\n"
          "MemAvailable:    1024000 kB\n");
  }

  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = root_.path() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  // In MiB.
  uint64_t available() const { return available_memory(root_.path()) / kMebibyte; }

 private:
  test::TemporaryDirectory root_;
};

std::string bytes(uint64_t mebibytes) { return std::to_string(mebibytes * kMebibyte) + '\n'; }

}  // namespace

TEST_CASE("The available memory is what the system says") {
  const FakeSystem system;
  CHECK(system.available() == 1000);
  CHECK(available_memory() > kMebibyte);  // Of the machine that runs this.
}

TEST_CASE("No memory is available where the system does not say") {
  const test::TemporaryDirectory nothing;
  CHECK(available_memory(nothing.path()) == 0);
}

TEST_CASE("A container's limit leaves less memory") {
  const FakeSystem system;
  SECTION("version 2") {
    system.write("/proc/self/cgroup", "0::/user.slice/job\n");
    system.write("/sys/fs/cgroup/user.slice/job/memory.max", bytes(700));
    system.write("/sys/fs/cgroup/user.slice/job/memory.current", bytes(600));
    CHECK(system.available() == 100);

    // The page cache can be dropped.
    system.write("/sys/fs/cgroup/user.slice/job/memory.stat",
                 "anon 1\nfile 2\ninactive_file " + bytes(300) + "active_file 5\n");
    CHECK(system.available() == 400);

    // The group above.
    system.write("/sys/fs/cgroup/user.slice/memory.max", bytes(900));
    system.write("/sys/fs/cgroup/user.slice/memory.current", bytes(850));
    CHECK(system.available() == 50);

    // That of the whole container.
    system.write("/sys/fs/cgroup/memory.max", bytes(900));
    system.write("/sys/fs/cgroup/memory.current", bytes(901));
    CHECK(system.available() == 0);
  }
  SECTION("version 2 without a limit") {
    system.write("/proc/self/cgroup", "0::/\n");
    system.write("/sys/fs/cgroup/memory.max", "max\n");
    system.write("/sys/fs/cgroup/memory.current", bytes(600));
    CHECK(system.available() == 1000);
  }
  SECTION("version 1, whose path is that of the host") {
    system.write("/proc/self/cgroup", "3:cpu,cpuacct:/docker/b\n2:memory:/docker/a\n1:name=x:/\n");
    system.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", bytes(500));
    system.write("/sys/fs/cgroup/memory/memory.usage_in_bytes", bytes(400));
    system.write("/sys/fs/cgroup/memory/memory.stat", "total_inactive_file " + bytes(50));
    CHECK(system.available() == 150);
  }
}
