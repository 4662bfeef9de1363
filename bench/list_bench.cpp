// list_bench [COUNT...]: measures `list` and `latest` on directories of COUNT checkpoints with 900
// tensors each (default: 100, 1,000 and 10,000). Takes the best of five runs, with the files in the
// page cache.

#include "store/directory/directory.h"
#include "store/records/manifest.h"
#include "store/records/marker.h"
#include "store/records/names.h"

#include <checkpoint/checkpoint.h>

#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using checkpoint::CheckpointManager;
using checkpoint::Manifest;

constexpr int kTensors = 900;

void save_first(const std::string& directory) {
  struct Model : torch::nn::Module {
    Model() {
      for (int i = 0; i < kTensors; ++i) {
        register_parameter("weight" + std::to_string(i), torch::zeros({4}));
      }
    }
  };
  const auto model = std::make_shared<Model>();
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.1));
  checkpoint::State state;
  state.add("model", model).add("optimizer", optimizer);
  CheckpointManager(directory, checkpoint::CheckpointManagerOptions().name("e{epoch:06d}"))
      .save(state, {0, 0, 0.5, {{"accuracy", 0.9}}});
}

// Links to the first checkpoint's files, with a manifest and a marker of its own.
void add_another(const std::string& directory, const Manifest& first, int number) {
  char name[32];
  std::snprintf(name, sizeof name, "e%06d", number);
  Manifest manifest = first;
  manifest.name = name;
  manifest.sequence = number + 1;
  manifest.progress.epoch = number;
  const std::string path = directory + '/' + name;
  fs::create_directory(path);
  for (const checkpoint::FileEntry& file : manifest.files) {
    fs::create_hard_link(directory + '/' + first.name + '/' + file.name, path + '/' + file.name);
  }
  checkpoint::store::write_marker(checkpoint::store::posix_file_system(), path,
                                  {"0.1.0", "run", manifest.sequence});
  std::ofstream(path + "/manifest.json") << checkpoint::store::encode_manifest(manifest);
}

// In milliseconds: wall-clock time, and processor time.
struct Taken {
  double wall = 1e30;
  double processor = 1e30;
};

template <typename Work>
Taken best_of_five(const Work& work) {
  Taken best;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t processor = std::clock();
    work();
    const std::chrono::duration<double, std::milli> wall = std::chrono::steady_clock::now() - begin;
    const auto ticks = static_cast<double>(std::clock() - processor);
    best.wall = std::min(best.wall, wall.count());
    best.processor = std::min(best.processor, 1000 * ticks / CLOCKS_PER_SEC);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::warn);
  std::vector<int> counts;
  for (int i = 1; i < argc; ++i) counts.push_back(std::atoi(argv[i]));
  if (counts.empty()) counts = {100, 1000, 10000};

  std::string directory = (fs::temp_directory_path() / "list-bench-XXXXXX").string();
  if (::mkdtemp(directory.data()) == nullptr) return 1;
  save_first(directory);
  const Manifest first = checkpoint::store::read_manifest(checkpoint::store::posix_file_system(),
                                                          directory + "/e000000");
  std::printf("%12s %10s %10s %22s\n", "checkpoints", "list", "latest", "list, processor, each");
  int present = 1;
  for (const int count : counts) {
    for (; present < count; ++present) add_another(directory, first, present);
    const CheckpointManager manager(directory);
    const Taken list = best_of_five([&] { manager.list(); });
    const Taken latest = best_of_five([&] { manager.latest(); });
    std::printf("%12d %7.1f ms %7.1f ms %19.1f us\n", present, list.wall, latest.wall,
                1000 * list.processor / present);
    std::fflush(stdout);
  }
  fs::remove_all(directory);
  return 0;
}
