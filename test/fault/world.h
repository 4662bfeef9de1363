#pragma once

#include "support/memory_file_system.h"
#include "support/sanitized.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace test {

inline constexpr char kRuns[] = "/new/parents/runs";
inline std::string path_of(const std::string& name) { return std::string(kRuns) + '/' + name; }

/// A sanitizer takes twenty times as long. Which states are wrong, the other builds say; it looks
/// at every fourth call for what is wrong with the memory.
inline constexpr size_t kEvery = kSanitized ? 4 : 1;

/// A training's live objects, as small as they can be: a tensor and a number, all of one value, and
/// a tensor that is the same in each checkpoint, and large enough to be shared.
struct Live {
  static constexpr int64_t kUntouched = -1;
  static constexpr double kFrozen = 0.5;

  explicit Live(int64_t start = kUntouched)
      : tensor(torch::full({8}, start, torch::kDouble)),
        frozen(torch::full({1024}, start == kUntouched ? -1 : kFrozen, torch::kDouble)),
        value(start) {
    state.add("tensor", tensor).add("frozen", frozen).add("value", value).rng(false);
  }
  /// The value that all of it has, bit for bit; empty if it is a mixture.
  std::optional<int64_t> all() const {
    const double expected = value == kUntouched ? -1 : kFrozen;
    const bool same = tensor.sizes() == torch::IntArrayRef{8} &&
                      torch::equal(tensor, torch::full({8}, value, torch::kDouble)) &&
                      torch::equal(frozen, torch::full({1024}, expected, torch::kDouble));
    return same ? std::optional<int64_t>(value) : std::nullopt;
  }

  torch::Tensor tensor;
  torch::Tensor frozen;
  int64_t value;
  checkpoint::State state;
};

/// An operation that is to be tried with every fault, and what must hold afterwards. A checkpoint
/// is known by its value: e5 holds 5.
struct Scenario {
  std::string name;
  checkpoint::CheckpointManagerOptions options;
  /// Fills the file system, before any fault.
  std::function<void(MemoryFileSystem&)> prepare = {};
  /// The operation. Throws what it throws; anything but Error fails the test.
  std::function<void(checkpoint::store::FileSystem&, const checkpoint::CheckpointManagerOptions&)>
      act = {};

  std::optional<int64_t> newest_before = {};  ///< Empty: there is none, and a fresh start is right.
  std::optional<int64_t> newest_after =
      {};                              ///< When it has succeeded; without success either is right.
  std::set<int64_t> between = {};      ///< May be the newest as well, without success.
  std::set<int64_t> always = {};       ///< What must be there and whole in any case.
  std::set<int64_t> pinned = {};       ///< When it has succeeded: must outlive the next save too.
  std::set<int64_t> gone = {};         ///< When it has succeeded: must be gone after the next save.
  std::set<std::string> damaged = {};  ///< Names that are damaged from the start.
  /// Nothing is listed, and yet no start from scratch is right, whatever fails.
  bool unseen = false;
};

/// All of them.
std::vector<Scenario> scenarios();

/// What is wrong with the directory after the operation and the fault; empty if all is well.
/// Changes it: resumes, and saves once more.
std::string fault_found(MemoryFileSystem& memory, const Scenario& scenario, bool succeeded);

}  // namespace test
