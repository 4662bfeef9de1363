#include "checkpoint/tensors/scratch_memory.h"

#include "support/catch.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"

#include <torch/torch.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

using checkpoint::cli::ScratchMemory;

namespace {

constexpr int64_t kMebibyte = 1 << 20;

torch::Tensor sevens(int64_t bytes) { return torch::full({bytes}, 7, torch::kByte); }

// The file that is mapped at this address: the end of its line in /proc/self/maps.
std::string file_at(const void* address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2) continue;
    const auto wanted = reinterpret_cast<uintptr_t>(address);
    if (wanted < begin || wanted >= end) continue;
    const size_t slash = line.find('/');
    return slash == std::string::npos ? "" : line.substr(slash);
  }
  return "";
}

bool is_in_file(const torch::Tensor& tensor, const std::string& directory) {
  return file_at(tensor.data_ptr()).rfind(directory, 0) == 0;
}

}  // namespace

TEST_CASE("Scratch memory begins where the budget ends") {
  const test::TemporaryDirectory root;
  const std::string directory = std::filesystem::canonical(root.path()).string();
  torch::Tensor survivor;
  {
    const ScratchMemory scratch(directory, 4 * kMebibyte);
    torch::Tensor first = sevens(3 * kMebibyte);
    const torch::Tensor second = sevens(3 * kMebibyte);
    CHECK_FALSE(is_in_file(first, directory));
    CHECK(is_in_file(second, directory));
    CHECK(second.eq(7).all().item<bool>());
    CHECK_FALSE(is_in_file(sevens(1000), directory));
    // What is freed counts no longer.
    first.reset();
    CHECK_FALSE(is_in_file(sevens(4 * kMebibyte), directory));
    CHECK_FALSE(is_in_file(sevens(4 * kMebibyte), directory));
    CHECK(is_in_file(sevens(5 * kMebibyte), directory));
    CHECK(std::filesystem::is_empty(directory));
    survivor = second;
  }
  CHECK(survivor.eq(7).all().item<bool>());
  survivor.resize_({4 * kMebibyte});
  CHECK(survivor.slice(0, 0, 3 * kMebibyte).eq(7).all().item<bool>());
  CHECK_FALSE(is_in_file(sevens(8 * kMebibyte), directory));
}

TEST_CASE("Without a place for files, scratch memory is memory") {
  const test::TemporaryDirectory root;
  const ScratchMemory scratch(root / "nowhere", kMebibyte);
  const torch::Tensor large = sevens(8 * kMebibyte);
  CHECK(file_at(large.data_ptr()).empty());
  CHECK(large.eq(7).all().item<bool>());
  // More than any disk or memory has. AddressSanitizer ends the program there.
  if (!test::kSanitized) CHECK_THROWS(torch::empty({int64_t{1} << 55}, torch::kByte));
  CHECK(sevens(kMebibyte).eq(7).all().item<bool>());
}
