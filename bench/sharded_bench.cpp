// sharded_bench [GIGABYTES] [FILES] [ROUNDS] [DIR]: reads a model of 1 GB in 8 files into a live
// module, beside the same in one file. Alternates which of them comes first. Prints the medians in
// GB/s, with the files in the page cache.

#include "clock.h"
#include "folder.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

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
  checkpoint::save(weights, one);
  const auto shard_bytes = static_cast<uint64_t>(bytes / files + bytes / kTensors);
  checkpoint::save(weights, sharded, checkpoint::SaveOptions().max_shard_size(shard_bytes));

  std::vector<double> one_times, sharded_times;
  const auto read = [&](const std::string& path, std::vector<double>& times) {
    times.push_back(bench::seconds([&] { checkpoint::load_state_dict(*model, path); }));
  };
  read(one, one_times);
  read(sharded, sharded_times);
  one_times.clear();
  sharded_times.clear();
  for (int i = 0; i < rounds; ++i) {
    if (i % 2 == 0) read(one, one_times);
    read(sharded, sharded_times);
    if (i % 2 != 0) read(one, one_times);
  }
  print("one file", gigabytes, one_times);
  print("several files", gigabytes, sharded_times);
  return 0;
}
