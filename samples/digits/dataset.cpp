#include "dataset.h"

#include <torch/torch.h>

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace digits {
namespace {

constexpr int64_t kSide = 8;
constexpr int64_t kPixels = kSide * kSide;
constexpr int64_t kValidationEvery = 5;

// Returns the 64 pixels of a digit, and its label.
std::vector<float> parse_line(const std::string& line) {
  std::vector<float> numbers;
  std::istringstream fields(line);
  for (std::string field; std::getline(fields, field, ',');) numbers.push_back(std::stof(field));
  if (numbers.size() != kPixels + 1)
    throw std::invalid_argument("this line is not 64 pixels and a label");
  return numbers;
}

}  // namespace

Dataset Dataset::select(const torch::Tensor& indices) const {
  const torch::Tensor here = indices.to(labels.device());
  return {images.index_select(0, here), labels.index_select(0, here)};
}

Dataset load(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot open the file");
  std::vector<float> numbers;
  int64_t count = 0;
  for (std::string line; std::getline(file, line); ++count) {
    try {
      const std::vector<float> row = parse_line(line);
      numbers.insert(numbers.end(), row.begin(), row.end());
    } catch (const std::logic_error& error) {
      throw std::runtime_error(path + ", line " + std::to_string(count + 1) + ": " + error.what());
    }
  }
  if (count == 0) throw std::runtime_error(path + ": the file is empty");
  const torch::Tensor rows = torch::tensor(numbers).view({count, kPixels + 1});
  return {rows.narrow(1, 0, kPixels).div(16).view({count, 1, kSide, kSide}),
          rows.select(1, kPixels).to(torch::kInt64)};
}

Split split(const Dataset& all) {
  const torch::Tensor indices = torch::arange(all.size());
  const torch::Tensor held_out = indices.remainder(kValidationEvery).eq(0);
  return {all.select(indices.masked_select(held_out.logical_not())),
          all.select(indices.masked_select(held_out))};
}

}  // namespace digits
