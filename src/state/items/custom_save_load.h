#pragma once

#include "format/tree/map_tensors.h"
#include "state/plan/restore_plan.h"

#include <checkpoint/value.h>

#include <torch/serialize/archive.h>

#include <functional>
#include <string>
#include <unordered_map>

namespace checkpoint::state {

/// Where a saved tensor goes, given its key and its live counterpart, if it has one.
using Place =
    std::function<c10::Device(const at::Tensor& placeholder, const format::TensorPlace& at)>;

/// An object of the user's with `save(OutputArchive&)` and `load(InputArchive&)` of its own, which
/// are called with archives in memory. The object must outlive it.
class CustomSaveLoad {
 public:
  /// `path` names it in errors and in the log.
  CustomSaveLoad(std::string path, std::function<void(torch::serialize::OutputArchive&)> save,
                 std::function<void(torch::serialize::InputArchive&)> load);

  /// What its save writes; the tensors are the live ones. Throws Error(unsupported) for what a tree
  /// cannot hold, or with the words of what save throws.
  Dict capture() const;
  /// Calls its load. Its tensors may come to share the memory of the tree's. Throws
  /// Error(incompatible) with the words of what load throws.
  void load(const Dict& tree) const;
  /// Plans to call its load with a saved tree, whose tensors are read now, each to where `place`
  /// says. Before the call, what the object is now is kept, so that the call can be undone; if that
  /// cannot be, the report says so, and nothing is planned. `calls`, if given, is called instead of
  /// `load`, and calls it. This must outlive the plan.
  void plan_load(const Value& saved, const Place& place, RestorePlan& plan,
                 std::function<void(const Dict&)> calls = nullptr) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::function<void(torch::serialize::OutputArchive&)> save_;
  std::function<void(torch::serialize::InputArchive&)> load_;
};

/// Whether there is nothing in a tree: no value but dicts.
bool is_empty(const Value& tree);

/// Where map_location says; else where the live counterpart is, or `home` where there is none. The
/// plan must outlive it.
Place follow_map_location(const RestorePlan& plan, c10::Device home = c10::kCPU);

/// Reads all tensors of a saved tree, at once, into memory of their own. `path` is what its keys
/// begin with; `live` is what the object itself saves now. Tensors that were one in the file are
/// one.
Value read_tree(const Value& saved, const std::string& path, const Value& live, const Place& place,
                const RestorePlan& plan);
Dict read_tree(const Dict& saved, const std::string& path, const Dict& live, const Place& place,
               const RestorePlan& plan);

/// Whether all tensors of what an object itself saves now can be copied, so that its restore can be
/// undone; if not, the report says so.
bool can_be_undone(const Value& live, const std::string& path, RestorePlan& plan);

/// Copies of trees and tensors as they are now; what is one tensor is one copy.
class Copier {
 public:
  Dict copy(const Dict& tree);
  Value copy(const Value& value);
  at::Tensor copy(const at::Tensor& tensor);

 private:
  // The original is kept alive, so that no other one can come to stand at its address.
  std::unordered_map<const c10::TensorImpl*, std::pair<at::Tensor, at::Tensor>> known_;
};

}  // namespace checkpoint::state
