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

/// Where a tensor of the tree lies in the whole tensor of which it is a part.
struct ShardPlace {
  std::vector<int64_t> global_shape;
  std::vector<int64_t> offsets;
  bool is_written = true;  ///< Not if another rank writes the same part.
};

/// All that a save writes.
struct Capture {
  /// A dict: one entry for each item, then "rng", "epoch", "step" and "loss". Its tensors are dense
  /// CPU tensors, but for those that OnDevice::kStay leaves on a device. A live tensor that is one
  /// already is used itself, and must not change until it is written; others are copied. Tied
  /// tensors are one tensor here too.
  Value tree;
  std::vector<ItemEntry> items;
  std::map<std::string, std::vector<std::vector<std::string>>> optimizer_parameters;
  std::map<std::string, std::vector<std::string>> eval_modules;
  /// The names of the items that each rank has for itself.
  std::set<std::string> per_rank;
  /// The names of the items whose dicts may have any keys (Item::has_any_keys).
  std::set<std::string> any_keys;
  /// The names of the items that have a form in Python (Item::has_python_form).
  std::set<std::string> python_forms;
  /// The device of each tensor that was not on the CPU, by its key.
  std::unordered_map<std::string, std::string> devices;
  /// The tensors of which this rank has only a part, by key.
  std::unordered_map<std::string, ShardPlace> shards;
  /// The tensors of the tree that do not share memory with live ones.
  std::unordered_set<const c10::TensorImpl*> copies;
  /// The size of all tensors together, in bytes.
  uint64_t tensor_bytes = 0;
  uint64_t tensor_count = 0;
};

/// Throws Error(unsupported) if a file of the format cannot hold an item's name.
void check_item_names(const State& state, Format format);

/// Captures what the State's objects hold now. Changes no live object. With OnDevice::kStay the
/// tree may hold tensors on devices, of any layout. `unsaved`, if not null, checks each item.
/// Throws Error: unsupported, naming the tensor that cannot be saved; device.
Capture capture(const State& state, const Progress& progress,
                OnDevice on_device = OnDevice::kCopyToHost, Unsaved* unsaved = nullptr);
/// Gives optimizers and schedulers the form that Python's load_state_dict takes, for a file that
/// Python reads.
void use_python_forms(Capture& captured);
/// Returns about how many bytes the tensors of modules and LibTorch's own optimizers will have once
/// training has begun. An optimizer makes its state only in its first step.
uint64_t expected_bytes(const State& state);

}  // namespace checkpoint::state
