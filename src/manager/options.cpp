#include "manager/options.h"

#include "base/utf8.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <string>

namespace checkpoint::manager {
namespace {

[[noreturn]] void refuse_options(const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, "CheckpointManagerOptions: " + what);
}

}  // namespace

CheckpointManagerOptions checked(CheckpointManagerOptions options) {
  const KeepRules& keep = options.keep();
  // Written as !(x >= 0), because x < 0 is false for NaN.
  if (options.every_n_epochs() < 0 || options.every_n_steps() < 0 || keep.last < 0 ||
      keep.every_n_epochs < 0 || keep.every_n_steps < 0 || !(options.every().count() >= 0) ||
      !(keep.every.count() >= 0)) {
    refuse_options("every_… and keep_… options must not be negative");
  }
  if (!(options.max_overhead() >= 0 && options.max_overhead() < 1) ||
      !(options.max_overhead_least().count() >= 0) ||
      !(options.max_overhead_most() >= options.max_overhead_least())) {
    refuse_options(
        "max_overhead: the share must be at least 0 and below 1, and 0 <= least <= most");
  }
  for (const BestRule& rule : keep.best) {
    if (rule.count < 0 || rule.metric.empty()) {
      refuse_options("keep_best: the number must not be negative, and the metric needs a name");
    }
    if (!base::is_valid_utf8(rule.metric)) {
      refuse_options("keep_best: the metric's name '" + base::valid_utf8(rule.metric) +
                     "' is not valid UTF-8, so no checkpoint can have it");
    }
  }
  const auto is_empty = [](const auto& function) { return !function; };
  if (std::any_of(options.when().begin(), options.when().end(), is_empty) ||
      std::any_of(keep.predicates.begin(), keep.predicates.end(), is_empty)) {
    refuse_options("when and keep_if: the function is empty");
  }
  if (options.format() == Format::kSafetensors) {
    throw Error(ErrorCode::kUnsupported,
                "a checkpoint cannot be a safetensors file, which holds only tensors", "", 0,
                "Choose Format::kArchive or Format::kPth; load() and save() convert.");
  }
  if (options.format() == Format::kDcp) {
    throw Error(ErrorCode::kUnsupported,
                "a checkpoint cannot be a directory of PyTorch's Distributed Checkpoint", "", 0,
                "Choose Format::kArchive or Format::kPth; load() and save() convert.");
  }
  if (options.read_only() &&
      !(options.stop_on_signal().empty() && options.save_on_signal().empty())) {
    refuse_options("a read-only manager cannot save on a signal");
  }
  if (options.coordinator() && options.coordinator()->size() > 1 &&
      options.on_busy() == OnBusy::kSkip) {
    refuse_options(
        "on_busy(kSkip) does not work with several ranks: each may be busy at other times");
  }
  if (options.coordinator() && options.coordinator()->size() > 1 && options.reuse_unchanged()) {
    throw Error(ErrorCode::kUnsupported,
                "CheckpointManagerOptions: reuse_unchanged does not work with several ranks", "", 0,
                "Leave out reuse_unchanged, or the coordinator.");
  }
  if (!(options.timeout().count() > 0)) refuse_options("the timeout must be positive");
  return options;
}

}  // namespace checkpoint::manager
