#pragma once

#include "format/tree/dtype.h"
#include "python/describe.h"
#include "python/training.h"
#include "support/error_of.h"

#include <checkpoint/state_dict.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

// What trees.py wrote, read here. Each function returns what differs; empty is well.

namespace checkpoint {

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Each file in the directory that has a description beside it.
inline std::vector<std::string> described_files(const std::string& directory) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string path = entry.path().string();
    if (std::filesystem::exists(path + ".txt")) files.push_back(path);
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// A dtype in the description that this LibTorch does not have; empty if it has all.
inline std::string unknown_dtype(const std::string& description) {
  const std::string word = " tensor ";
  for (size_t at = description.find(word); at != std::string::npos;
       at = description.find(word, at + 1)) {
    const size_t begin = at + word.size();
    const std::string name = description.substr(begin, description.find(' ', begin) - begin);
    if (!format::find_dtype(name)) return name;
  }
  return {};
}

inline std::string first_difference(const std::string& wanted, const std::string& found) {
  const auto at = std::mismatch(wanted.begin(), wanted.end(), found.begin(), found.end());
  const auto line = [](const std::string& text, size_t position) {
    const size_t begin = position == 0 ? 0 : text.rfind('\n', position - 1) + 1;
    return text.substr(begin, text.find('\n', position) - begin);
  };
  return "  written " + line(wanted, at.first - wanted.begin()) + "\n  read    " +
         line(found, at.second - found.begin()) + '\n';
}

inline std::string check_file(const std::string& path) {
  const std::string wanted = read_text(path + ".txt");
  const LoadOptions plain = LoadOptions().map_location(torch::kCPU);
  const std::string unknown = unknown_dtype(wanted);
  if (!unknown.empty()) {
    const std::string error = error_of([&] { load(path, plain); });
    const bool refused = contains(error, "unsupported: ") && contains(error, "dtype");
    return refused ? "" : path + ": " + unknown + " is not refused: " + error + '\n';
  }
  std::string wrong;
  for (const bool mmap : {false, true}) {
    const std::string found = describe(load(path, LoadOptions(plain).mmap(mmap)));
    if (found == wanted) continue;
    wrong += path + (mmap ? ", mapped" : "") + " differs:\n" + first_difference(wanted, found);
  }
  return wrong;
}

/// Compares losses with those that Python wrote. `tolerance` is relative.
inline std::string loss_difference(const std::string& name, const std::vector<double>& losses,
                                   const std::string& directory, double tolerance) {
  const Value python = load(directory + "/losses_" + name + ".pth");
  std::string wrong;
  for (size_t i = 0; i < losses.size(); ++i) {
    const double wanted = python.dict().at("losses").list().at(i).to_double();
    if (std::abs(losses[i] - wanted) <= tolerance * std::abs(wanted)) continue;
    std::ostringstream text;
    text.precision(9);
    text << name << ": loss " << i << " is " << losses[i] << ", in Python " << wanted << '\n';
    wrong += text.str();
  }
  return wrong;
}

inline void load_weights_of(const Value& saved, torch::nn::Sequential& model) {
  StateDict weights;
  for (const auto& [key, tensor] : saved.dict().at("model").dict()) {
    weights.insert(to_string(key), tensor.to_tensor());
  }
  load_state_dict(*model, weights);
}

/// Trains on with Python's model and optimizer, and compares the losses with Python's.
inline std::string check_optimizer(const std::string& directory, const std::string& name,
                                   double tolerance) {
  const Value saved = load(directory + "/optimizer_" + name + ".pth");
  torch::nn::Sequential model = small_model();
  load_weights_of(saved, model);
  const auto optimizer = make_optimizer(name, model, false);
  load_optimizer_state_dict(*optimizer, saved.dict().at("optimizer"));
  return loss_difference(name, train(model, *optimizer, 10), directory, tolerance);
}

/// Does the same with a scheduler, "StepLR" or "ReduceLROnPlateau".
inline std::string check_scheduler(const std::string& directory, const std::string& name,
                                   double tolerance) {
  const Value saved = load(directory + "/scheduler_" + name + ".pth");
  torch::nn::Sequential model = small_model();
  load_weights_of(saved, model);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.5));
  load_optimizer_state_dict(optimizer, saved["optimizer"]);
  const auto train_with = [&](auto& scheduler) {
    load_scheduler_state_dict(scheduler, saved["scheduler"]);
    return train(model, optimizer, 10, [&](double loss) { step(scheduler, loss); });
  };
  if (name == "StepLR") {
    torch::optim::StepLR scheduler(optimizer, 3, 0.5);
    return loss_difference(name, train_with(scheduler), directory, tolerance);
  }
#if TORCH_CHECKPOINT_HAS_PLATEAU
  auto scheduler = make_plateau(optimizer);
  return loss_difference(name, train_with(scheduler), directory, tolerance);
#else
  return "";
#endif
}

}  // namespace checkpoint
