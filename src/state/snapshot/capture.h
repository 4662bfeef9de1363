#pragma once

#include "format/tree/dense.h"
#include "state/snapshot/unsaved.h"
#include "store/records/tensor_table.h"

#include <checkpoint/format.h>
#include <checkpoint/manifest.h>
#include <checkpoint/progress.h>
#include <checkpoint/state.h>
#include <checkpoint/value.h>

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace checkpoint::state {

using format::OnDevice;

/// All that a save writes.
struct Capture {
  /// A dict: one entry an item, then "rng", "epoch", "step" and "loss". Its tensors are dense CPU
  /// tensors: the live ones themselves where these are such (they must not change until they are
  /// written), copies of the rest. Tied tensors are one tensor here too.
  Value tree;
  std::vector<ItemEntry> items;
  std::map<std::string, std::vector<std::vector<std::string>>> optimizer_parameters;
  std::map<std::string, std::vector<std::string>> eval_modules;
  /// The items whose dicts have any keys: Item::has_any_keys.
  std::set<std::string> any_keys;
  /// For the tensors that lived on another device than the CPU: which.
  std::unordered_map<std::string, std::string> devices;
  /// Those of the tree's tensors that share no memory with live ones.
  std::unordered_set<const c10::TensorImpl*> copies;
  /// The size of all tensors together.
  uint64_t tensor_bytes = 0;
  uint64_t tensor_count = 0;
};

/// Throws Error(unsupported) for an item whose name no file of the format can hold.
void check_item_names(const State& state, Format format);

/// Takes what the State's objects hold now. Throws Error(unsupported) naming a tensor that cannot
/// be saved. Restores nothing, changes nothing. With OnDevice::kStay the tree may hold CUDA
/// tensors. `unsaved`, if not null, looks at each item.
Capture capture(const State& state, const Progress& progress,
                OnDevice on_device = OnDevice::kCopyToHost, Unsaved* unsaved = nullptr);
/// How many bytes of tensors the State's modules and LibTorch's own optimizers will have once
/// training has begun, about: an optimizer makes its state only in its first step.
uint64_t expected_bytes(const State& state);

}  // namespace checkpoint::state
