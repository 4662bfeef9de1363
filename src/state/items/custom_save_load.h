#pragma once

#include "format/tree/map_tensors.h"
#include "state/plan/restore_plan.h"

#include <checkpoint/value.h>

#include <torch/serialize/archive.h>

#include <functional>
#include <string>
#include <unordered_map>

namespace checkpoint::state {

/// Returns the device for a saved tensor, from its key and its live counterpart, if it has one.
using Place =
    std::function<c10::Device(const at::Tensor& placeholder, const format::TensorPlace& at)>;

/// A user's object with its own `save(OutputArchive&)` and `load(InputArchive&)`. They are called
/// with archives in memory. The object must outlive this.
class CustomSaveLoad {
 public:
  /// `path` names it in errors and in the log.
  CustomSaveLoad(std::string path, std::function<void(torch::serialize::OutputArchive&)> save,
                 std::function<void(torch::serialize::InputArchive&)> load);

  /// Returns what its save writes, with the live tensors. Throws Error(unsupported) for what a tree
  /// cannot hold, or with the message of what save throws.
  Dict capture() const;
  /// Calls its load. The object's tensors may share memory with the tree's afterwards. Throws
  /// Error(incompatible) with the message of what load throws.
  void load(const Dict& tree) const;
  /// Plans to call its load with a saved tree. The tree's tensors are read now, each to the device
  /// that `place` returns. Before the call, the object's state is copied, so that the call can be
  /// undone. If it cannot be copied, the report says so, and nothing is planned. `calls`, if given,
  /// is called instead of `load`, and must call `load` itself. This object must outlive the plan.
  void plan_load(const Value& saved, const Place& place, RestorePlan& plan,
                 std::function<void(const Dict&)> calls = nullptr) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::function<void(torch::serialize::OutputArchive&)> save_;
  std::function<void(torch::serialize::InputArchive&)> load_;
};

/// Returns whether a tree holds nothing but dicts.
bool is_empty(const Value& tree);

/// Returns a Place that uses map_location. Without a rule for a tensor, it uses the live
/// counterpart's device, or `home` without a counterpart. The plan must outlive it.
Place follow_map_location(const RestorePlan& plan, c10::Device home = c10::kCPU);

/// Reads all tensors of a saved tree now, into new memory. Keys begin with `path`. `live` is what
/// the object itself saves now. Tied tensors stay tied.
Value read_tree(const Value& saved, const std::string& path, const Value& live, const Place& place,
                const RestorePlan& plan);
Dict read_tree(const Dict& saved, const std::string& path, const Dict& live, const Place& place,
               const RestorePlan& plan);

/// Returns whether all tensors of `live`, which is what an object itself saves now, can be copied.
/// A restore of the object can then be undone. If not, the report says so.
bool can_be_undone(const Value& live, const std::string& path, RestorePlan& plan);

/// Copies trees and tensors. Tied tensors become one copy.
class Copier {
 public:
  Dict copy(const Dict& tree);
  Value copy(const Value& value);
  at::Tensor copy(const at::Tensor& tensor);

 private:
  // The original is kept alive, so that no other tensor can get its address.
  std::unordered_map<const c10::TensorImpl*, std::pair<at::Tensor, at::Tensor>> known_;
};

}  // namespace checkpoint::state
