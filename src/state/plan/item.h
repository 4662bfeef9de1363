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

/// The dotted name of every parameter of every module in the State, by its identity.
using ParameterNames = std::unordered_map<const c10::TensorImpl*, std::string>;

/// A part of the file's tree, and its name there.
struct SavedPart {
  std::string path;
  const Value& value;
};

/// What was saved of one item; its names are live ones already, but for those in `parts`.
struct SavedItem {
  const Value& value;
  /// As the manifest describes it.
  const ItemEntry& entry;
  /// Of an optimizer: its parameters' names, group by group.
  const std::vector<std::vector<std::string>>& parameter_names;
  /// Of a module: its submodules in eval mode, by dotted names that begin with the item's.
  const std::vector<std::string>& eval_modules;
  /// Of a module: all that may hold keys of it once they are renamed.
  const std::vector<SavedPart>& parts;
};

/// One named thing in a State: it can be captured as a tree, and restored from one.
class Item {
 public:
  explicit Item(std::string name) : name_(std::move(name)) {}
  virtual ~Item() = default;
  Item(const Item&) = delete;
  Item& operator=(const Item&) = delete;

  const std::string& name() const { return name_; }
  /// Visits the keys by which RestoreOptions choose what of it is restored.
  virtual void visit_keys(const std::function<void(const std::string&)>& visit) const {
    visit(name_);
  }
  /// Adds the names of the parameters that live here.
  virtual void name_parameters(ParameterNames&) const {}
  /// The manifest's entry.
  virtual ItemEntry entry() const = 0;
  /// An optimizer's parameters, group by group, in order; "" for one without a name.
  virtual std::vector<std::vector<std::string>> parameter_names(const ParameterNames&) const {
    return {};
  }
  /// A module's submodules that are in eval mode, itself included, by dotted names.
  virtual std::vector<std::string> eval_modules() const { return {}; }
  /// The tensors that an optimizer trains.
  virtual std::vector<at::Tensor> trained() const { return {}; }
  /// The live tensors that a `save` of the user's own answers for: it may have written copies of
  /// them, or in `unsaved` it is said that it did not.
  virtual std::vector<at::Tensor> answers_for(const Value&) const { return {}; }
  /// What this item has and what it captured lacks, a line for each that a user should hear of.
  virtual std::vector<std::string> unsaved(const Value&) const { return {}; }
  /// How large its tensors will be once training has begun, about; 0 if that is not known.
  virtual uint64_t expected_bytes() const { return 0; }
  /// The tree, with the live tensors in it. Throws Error(unsupported) for what cannot be saved.
  virtual Value capture() const = 0;
  /// Compares with what was saved. Adds to the plan what must be done, and what does not fit.
  /// Changes nothing.
  virtual void plan(const SavedItem& saved, const ParameterNames& live_names,
                    RestorePlan& plan) = 0;
  /// Whether other items' plans depend on where this one's tensors go: it is planned before them.
  virtual bool places_parameters() const { return false; }
  /// Whether its dicts are the user's own data, whose keys may be any texts and integers, and not
  /// names of a program's parts. An archive then holds a dict, not nested archives.
  virtual bool has_any_keys() const { return false; }

 private:
  std::string name_;
};

using format::dotted;

}  // namespace checkpoint::state
