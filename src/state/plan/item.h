#pragma once

#include "format/tree/path.h"

#include <checkpoint/manifest.h>
#include <checkpoint/state.h>
#include <checkpoint/value.h>

#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace checkpoint::state {

/// The item that every State has unless rng(false).
inline constexpr char kRngName[] = "rng";

class RestorePlan;

/// The dotted name of every parameter of every module in the State, by the parameter's identity.
using ParameterNames = std::unordered_map<const c10::TensorImpl*, std::string>;

/// A part of the saved tree, and its name there.
struct SavedPart {
  std::string path;
  const Value& value;
};

/// What was saved of one item. Its names are already renamed to live ones, except those in `parts`.
struct SavedItem {
  const Value& value;
  /// As the manifest describes it.
  const ItemEntry& entry;
  /// For an optimizer: its parameters' names, group by group.
  const std::vector<std::vector<std::string>>& parameter_names;
  /// For a module: its submodules in eval mode, by dotted names that begin with the item's.
  const std::vector<std::string>& eval_modules;
  /// For a module: every part whose keys may belong to it once they are renamed.
  const std::vector<SavedPart>& parts;
};

/// One named object in a State. It can be captured as a tree, and restored from one.
class Item {
 public:
  explicit Item(std::string name) : name_(std::move(name)) {}
  virtual ~Item() = default;
  Item(const Item&) = delete;
  Item& operator=(const Item&) = delete;

  const std::string& name() const { return name_; }
  /// Returns whether each rank has one of its own.
  bool is_per_rank() const { return is_per_rank_; }
  void make_per_rank() { is_per_rank_ = true; }
  /// Visits the keys by which RestoreOptions choose parts of this item.
  virtual void visit_keys(const std::function<void(const std::string&)>& visit) const {
    visit(name_);
  }
  /// Adds the names of this item's parameters.
  virtual void name_parameters(ParameterNames&) const {}
  /// Returns this item's entry in the manifest.
  virtual ItemEntry entry() const = 0;
  /// Returns the names of an optimizer's parameters, group by group, in order; "" for an unknown
  /// name.
  virtual std::vector<std::vector<std::string>> parameter_names(const ParameterNames&) const {
    return {};
  }
  /// Returns the dotted names of a module's submodules in eval mode, the module itself included.
  virtual std::vector<std::string> eval_modules() const { return {}; }
  /// Returns the tensors that an optimizer trains.
  virtual std::vector<at::Tensor> trained() const { return {}; }
  /// Visits the tensors that an optimizer keeps for its parameters. `state` is undefined if what it
  /// keeps for this one is not known, or is one tensor for all.
  virtual void visit_states(
      const std::function<void(const at::Tensor& parameter, const at::Tensor& state)>&) const {}
  /// Returns the live tensors for which the user's own `save` is responsible. It may have written
  /// copies of them. If it wrote nothing, `unsaved` says so.
  virtual std::vector<at::Tensor> answers_for(const Value&) const { return {}; }
  /// Returns a warning for each part of this item that its capture lacks.
  virtual std::vector<std::string> unsaved(const Value&) const { return {}; }
  /// Returns about how many bytes its tensors will have once training has begun; 0 if unknown.
  virtual uint64_t expected_bytes() const { return 0; }
  /// Returns the tree, with the live tensors in it. Throws Error(unsupported) for what cannot be
  /// saved.
  virtual Value capture() const = 0;
  /// Compares the live object with what was saved. Adds to the plan what must be done, and what
  /// does not fit. Changes no live object.
  virtual void plan(const SavedItem& saved, const ParameterNames& live_names,
                    RestorePlan& plan) = 0;
  /// Returns whether other items' plans depend on where this one's tensors go. If so, this item is
  /// planned before them.
  virtual bool places_parameters() const { return false; }
  /// Returns whether its dicts are the user's own data. Their keys may then be any texts and
  /// integers, not only names of a program's parts. An archive then holds a dict, not nested
  /// archives.
  virtual bool has_any_keys() const { return false; }
  /// Returns whether the capture can be written in Python's form, and `plan` takes both forms.
  virtual bool has_python_form() const { return false; }

 private:
  std::string name_;
  bool is_per_rank_ = false;
};

using format::dotted;

}  // namespace checkpoint::state
