#pragma once

#include "state/plan/item.h"
#include "state/plan/restore_plan.h"
#include "state/plan/selection.h"
#include "store/records/tensor_table.h"

#include <checkpoint/manifest.h>
#include <checkpoint/value.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace checkpoint::state {

/// What was saved, item by item, under the names that the options give. The constructor's arguments
/// must outlive it.
class SavedItems {
 public:
  using Items = std::vector<const Item*>;

  /// Finds which live item each saved one becomes, and adds that to the plan's selection.
  SavedItems(const Manifest& manifest, const store::TensorTable& table, const Dict& tree,
             const Items& live, RestorePlan& plan);

  /// Throws Error(invalid_argument) if an option names nothing that exists. `path` is the file's.
  void check_selection(const std::string& path) const;
  /// Adds the item's part to the plan, or reports that it is missing.
  void plan(Item& item, const ParameterNames& names) const;
  /// Reports everything saved that no live item takes.
  void note_leftovers() const;

  bool holds(const std::string& name) const { return tree_.contains(name); }

 private:
  std::string live_name(const std::string& saved) const;
  bool is_live(const std::string& name) const { return live_names_.count(name) != 0; }
  std::vector<SavedPart> parts_of(const Item& item) const;
  bool reaches(const ItemEntry& module, const std::string& live) const;
  void add_saved(const ItemEntry& entry, SelectionCheck& check) const;
  bool are_of_its_kind(const Item& item, const std::vector<const ItemEntry*>& entries) const;
  void plan_found(Item& item, const ItemEntry* entry, const std::vector<SavedPart>& parts,
                  const ParameterNames& names) const;
  std::vector<std::string> eval_modules_of(const std::vector<SavedPart>& parts) const;
  bool leaves_out(const Item& item) const;
  void plan_missing(const Item& item) const;

  const Manifest& manifest_;
  const store::TensorTable& table_;
  const Dict& tree_;
  const Items& live_;
  RestorePlan& plan_;
  std::set<std::string> live_names_;
  std::vector<std::string> live_modules_;
  std::map<std::string, std::string> becomes_;  // From saved names to live ones.
  // The saved items that become each live one; several only after a rename.
  std::map<std::string, std::vector<const ItemEntry*>> entries_;
};

}  // namespace checkpoint::state
