// sharded_bench [GIGABYTES] [FILES] [ROUNDS] [DIR]: reads a model of 1 GB in 8 files into a live
// module, beside the same in one file and as a distributed checkpoint. Alternates which of them
// comes first. Prints the medians in GB/s, with the files in the page cache. Then converts it with
// the command, and prints the seconds and the peak of the command's memory: its own (RssAnon), and
// with the pages of files that the kernel can take back at any time (VmHWM).

#include "clock.h"
#include "folder.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr int64_t kTensors = 96;

struct Model : torch::nn::Module {
  explicit Model(int64_t bytes) {
    const int64_t columns = 1024;
    const int64_t rows = std::max<int64_t>(bytes / kTensors / columns / 4, 1);
    for (int64_t i = 0; i < kTensors; ++i) {
      register_parameter("weight" + std::to_string(i), torch::randn({rows, columns}));
    }
  }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void print(const char* what, double gigabytes, const std::vector<double>& times) {
  const auto [least, most] = std::minmax_element(times.begin(), times.end());
  std::printf("%-16s %7.2f GB/s   median %.4f s, from %.4f to %.4f s\n", what,
              gigabytes / median(times), median(times), *least, *most);
}

// A line of /proc/PID/status, in MiB. 0 if the process has ended.
double status_mib(pid_t process, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(name + ":", 0) == 0) return std::atof(line.c_str() + name.size() + 1) / 1024;
  }
  return 0;
}

void print_convert(const char* what, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {TORCH_CHECKPOINT_TENSORS, "convert"});
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  double own = 0, all = 0;
  int status = -1;
  const double time = bench::seconds([&] {
    pid_t child = 0;
    if (::posix_spawn(&child, argv[0], nullptr, nullptr, argv.data(), environ) != 0) return;
    while (::waitpid(child, &status, WNOHANG) == 0) {
      own = std::max(own, status_mib(child, "RssAnon"));
      all = std::max(all, status_mib(child, "VmHWM"));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  if (status != 0) throw std::runtime_error(std::string(what) + " failed");
  std::printf("%-34s %6.2f s   peak %5.0f MiB of its own, %5.0f MiB with files\n", what, time, own,
              all);
}

}  // namespace

int main(int argc, char** argv) {
  const double gigabytes = argc > 1 ? std::atof(argv[1]) : 1;
  const int files = argc > 2 ? std::atoi(argv[2]) : 8;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 9;
  const bench::Folder folder(argc > 4 ? argv[4] : ".", "sharded_bench");
  const auto bytes = static_cast<int64_t>(gigabytes * 1e9);
  const auto model = std::make_shared<Model>(bytes);
  const checkpoint::StateDict weights = checkpoint::state_dict(*model);
  const std::string one = folder.path() + "/one.safetensors";
  const std::string sharded = folder.path() + "/model.safetensors";
  const std::string index = sharded + ".index.json";
  checkpoint::save(weights, one);
  const auto shard_bytes = static_cast<uint64_t>(bytes / files + bytes / kTensors);
  checkpoint::save(weights, sharded, checkpoint::SaveOptions().max_shard_size(shard_bytes));

  const std::string distributed = folder.path() + "/dcp";
  checkpoint::save(weights, distributed,
                   checkpoint::SaveOptions().format(checkpoint::Format::kDcp));

  struct Read {
    const char* what;
    std::string path;
    std::vector<double> times;
  };
  std::array<Read, 3> reads = {
      {{"one file", one, {}}, {"several files", index, {}}, {"distributed", distributed, {}}}};
  const auto read = [&](Read& from) {
    return bench::seconds([&] { checkpoint::load_state_dict(*model, from.path); });
  };
  for (Read& from : reads) read(from);  // Into the page cache.
  for (int i = 0; i < rounds; ++i) {
    for (Read& from : reads) from.times.push_back(read(from));
    std::rotate(reads.begin(), reads.begin() + 1, reads.end());
  }
  for (const Read& from : reads) print(from.what, gigabytes, from.times);

  const auto to = [&](const char* name) { return folder.path() + '/' + name; };
  print_convert("several files to .pth", {index, to("a.pth")});
  print_convert("several files to float16", {index, to("b.safetensors"), "--dtype", "float16"});
  print_convert("distributed to .safetensors", {distributed, to("c.safetensors")});
  print_convert("one file to distributed", {one, to("d"), "--to", "dcp"});
  print_convert("one file to .pt", {one, to("e.pt")});
  return 0;
}
