// What this machine is, from small loops that each measure one thing. Their order matters little:
// each makes its own memory or file, and rests for a moment before it uses the disk.

#include "machine.h"

#include "clock.h"
#include "folder.h"
#include "median.h"
#include "raw.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/utsname.h>

namespace bench {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

std::string first_line(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path) >> std::ws, line);
  return line;
}

// The text after "KEY :" in a file of such lines.
std::string value_of(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (line.compare(0, key.size(), key) != 0 || colon == std::string::npos) continue;
    const size_t text = line.find_first_not_of(" \t", colon + 1);
    return text == std::string::npos ? "" : line.substr(text);
  }
  return "unknown";
}

std::string kernel() {
  utsname name;
  return ::uname(&name) == 0 ? std::string(name.sysname) + ' ' + name.release : "unknown";
}

// Of the mount that holds `folder`: the one with the longest mount point above it.
std::string file_system(const std::string& folder) {
  const std::string path = std::filesystem::canonical(folder).string();
  std::ifstream mounts("/proc/self/mounts");
  std::string found = "unknown";
  size_t longest = 0;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string device, point, type, options;
    words >> device >> point >> type >> options;
    const bool above =
        point == "/" || path == point || path.compare(0, point.size() + 1, point + '/') == 0;
    if (!above || point.size() < longest) continue;
    longest = point.size();
    found = type + " on " + device + " (" + options + ')';
  }
  return found;
}

void add_facts(Machine& machine, const std::string& folder) {
  const auto fact = [&](const std::string& name, const std::string& text) {
    machine.facts.emplace_back(name, text);
  };
  fact("kernel", kernel());
  fact("processor", value_of("/proc/cpuinfo", "model name"));
  fact("cores", std::to_string(cores()));
  fact("memory", value_of("/proc/meminfo", "MemTotal"));
  fact("huge pages", first_line("/sys/kernel/mm/transparent_hugepage/enabled"));
  fact("file system", file_system(folder));
  fact("load before", first_line("/proc/loadavg"));
}

// Measures and adds what it finds.
class Check {
 public:
  Check(Machine& machine, const std::string& folder)
      : machine_(machine), folder_(folder, "checkpoint-check") {}

  void run() {
    fresh_pages();
    {
      const WarmMemory from(kBytes);
      const WarmMemory to(kBytes);
      memory(from, to);
      page_cache(from, to);
      disk(from, to);
    }
    fsyncs();
  }

 private:
  static constexpr size_t kBytes = 512 * kMiB;

  std::string path(const std::string& name) const { return folder_.path() + '/' + name; }
  void add(const std::string& name, double value, const std::string& unit) {
    machine_.measures.push_back({name, value, unit});
  }
  void add_speed(const std::string& name, size_t bytes, double time) {
    add(name, static_cast<double>(bytes) / time / 1e9, "GB/s");
  }
  // Lets the disk finish what it was given.
  void rest() const {
    sync_file_system(folder_.path());
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }

  // First, so that memory that this process has freed cannot be used again.
  void fresh_pages() {
    for (const size_t threads : {size_t{1}, cores()}) {
      const std::string who = threads == 1 ? ", 1 thread" : ", all cores";
      constexpr size_t kSmall = 128 * kMiB;
      const double small = fresh_pages_time(kSmall, false, threads);
      add("a fresh page of 4 KiB" + who, small / (kSmall / 4096.0) * 1e6, "us");
      add_speed("memory in fresh pages of 4 KiB" + who, kSmall, small);
      const double huge = fresh_pages_time(kBytes, true, threads);
      add("a fresh huge page" + who, huge / (kBytes / (2.0 * kMiB)) * 1e6, "us");
      add_speed("memory in fresh huge pages" + who, kBytes, huge);
      if (cores() == 1) break;
    }
  }

  void memory(const WarmMemory& from, const WarmMemory& to) {
    add_speed("memcpy, 1 thread", kBytes, warm_copy_time(to, from, 1));
    add_speed("memcpy, all cores", kBytes, warm_copy_time(to, from, cores()));
  }

  static double warm_copy_time(const WarmMemory& to, const WarmMemory& from, size_t threads) {
    std::vector<double> times;
    for (int i = 0; i < 5; ++i) {
      times.push_back(copy_time(to.data(), from.data(), kBytes, threads));
    }
    return median_of(times);
  }

  void page_cache(const WarmMemory& from, const WarmMemory& to) {
    rest();
    add_speed("page cache, write, 1 thread", kBytes, cached_write_time(path("cached"), from));
    sync_file(path("cached"));
    fill_cache(path("cached"));
    add_speed("page cache, pread, 1 thread", kBytes, cached_read_time(path("cached"), to, 1));
    add_speed("page cache, pread, all cores", kBytes,
              cached_read_time(path("cached"), to, cores()));
    std::filesystem::remove(path("cached"));
  }

  // Writes for up to 8 s, so that a disk that gives a burst first shows what it sustains.
  void disk(const WarmMemory& from, const WarmMemory& to) {
    constexpr double kMostSeconds = 8;
    const auto room = std::filesystem::space(folder_.path()).available;
    const size_t bytes = std::min<uint64_t>(size_t{4} << 30, room / 4) / kPiece * kPiece;
    rest();
    const std::vector<double> times = direct_write_times(path("direct"), from, bytes, kMostSeconds);
    if (times.size() < 8) return;  // No room, or a very slow disk.
    add_speed("disk, O_DIRECT write, first 256 MiB", kPiece * std::min(kBurst, times.size()),
              std::accumulate(times.begin(), times.begin() + std::min(kBurst, times.size()), 0.0));
    const size_t half = times.size() / 2;
    add_speed("disk, O_DIRECT write, sustained", kPiece * (times.size() - half),
              std::accumulate(times.begin() + half, times.end(), 0.0));
    add("disk, slowest write of 8 MiB", *std::max_element(times.begin(), times.end()) * 1e3, "ms");
    rest();
    const size_t read = std::min(kBytes, times.size() * kPiece);
    add_speed("disk, O_DIRECT read, all cores", read, raw_read_time(path("direct"), to, cores()));
    std::filesystem::remove(path("direct"));
  }

  void fsyncs() {
    rest();
    const std::vector<double> times = fsync_times(path("synced"), 50);
    add("fsync of 4 KiB, median", median_of(times) * 1e3, "ms");
    add("fsync of 4 KiB, most", *std::max_element(times.begin(), times.end()) * 1e3, "ms");
  }

  static constexpr size_t kBurst = 32;  // Writes of 8 MiB.

  Machine& machine_;
  const Folder folder_;
};

}  // namespace

Machine check_machine(const std::string& folder) {
  Machine machine;
  add_facts(machine, folder);
  Check(machine, folder).run();
  machine.facts.emplace_back("load after", first_line("/proc/loadavg"));
  return machine;
}

void print(const Machine& machine) {
  std::printf("this machine\n");
  for (const auto& [name, text] : machine.facts) {
    std::printf("  %-44s %s\n", name.c_str(), text.c_str());
  }
  for (const Measure& measure : machine.measures) {
    std::printf("  %-44s %8.4g %s\n", measure.name.c_str(), measure.value, measure.unit.c_str());
  }
}

}  // namespace bench
