// Matches the items of a checkpoint with those of the State, after `rename`. Most items have one
// counterpart. A live module may take keys from several saved modules, if the rename says so.

#include "state/plan/saved_items.h"

#include "state/plan/renamed_tree.h"

#include <algorithm>
#include <utility>

namespace checkpoint::state {
namespace {

constexpr char kModule[] = "module";
constexpr char kScript[] = "script";

template <typename Map>
const typename Map::mapped_type& find_or_empty(const Map& map, const std::string& name) {
  static const typename Map::mapped_type kEmpty;
  const auto found = map.find(name);
  return found != map.end() ? found->second : kEmpty;
}

bool has_keys_below(const ItemEntry& entry) {
  return entry.kind == kModule || entry.kind == kScript;
}

// Returns whether the state fits only objects of the class that was saved.
bool has_class(const ItemEntry& entry) {
  return entry.kind == "optimizer" || entry.kind == "scheduler" || entry.kind == "archive";
}

// Returns the parameters' names after the rename.
std::vector<std::vector<std::string>> renamed_parameters(
    std::vector<std::vector<std::string>> groups, const Selection& selection) {
  if (!selection.renames()) return groups;
  for (auto& names : groups) {
    for (std::string& name : names) {
      if (!name.empty()) name = selection.renamed(name);
    }
  }
  return groups;
}

}  // namespace

SavedItems::SavedItems(const Manifest& manifest, const store::TensorTable& table, const Dict& tree,
                       const Items& live, RestorePlan& plan)
    : manifest_(manifest), table_(table), tree_(tree), live_(live), plan_(plan) {
  for (const Item* item : live) {
    live_names_.insert(item->name());
    if (item->entry().kind == kModule) live_modules_.push_back(item->name());
  }
  for (const ItemEntry& entry : manifest.items) {
    const std::string& becomes = becomes_[entry.name] = live_name(entry.name);
    plan.selection().item_becomes(entry.name, becomes);
    if (tree.contains(entry.name)) entries_[becomes].push_back(&entry);
  }
}

// Returns the new name if a live item has it; otherwise the saved name.
std::string SavedItems::live_name(const std::string& saved) const {
  if (saved == kRngName) return saved;
  std::string renamed = plan_.selection().renamed_path(saved);
  return is_live(renamed) ? renamed : saved;
}

void SavedItems::check_selection(const std::string& path) const {
  SelectionCheck check(plan_.selection());
  if (!check.is_needed()) return;
  for (const Item* item : live_) {
    check.add_live_item(item->name());
    item->visit_keys([&](const std::string& key) { check.add_live(item->name(), key); });
  }
  for (const ItemEntry& entry : manifest_.items) add_saved(entry, check);
  check.require(path);
}

void SavedItems::add_saved(const ItemEntry& entry, SelectionCheck& check) const {
  if (entry.name != kRngName) check.add_name(entry.name);
  const Value* const value = tree_.find(entry.name);
  if (has_keys_below(entry) && value != nullptr) {
    add_saved_keys(*value, entry.name, plan_.selection(), check);
  } else {
    check.add_saved(entry.name, becomes_.at(entry.name));
  }
  for (const auto& names : find_or_empty(table_.optimizer_parameters, entry.name)) {
    for (const std::string& name : names) {
      if (!name.empty()) check.add_name(name);
    }
  }
  if (!plan_.options().restore_modes()) return;
  for (const std::string& module : find_or_empty(table_.eval_modules, entry.name)) {
    check.add_name(module);
  }
}

void SavedItems::plan(Item& item, const ParameterNames& names) const {
  const std::vector<const ItemEntry*>& entries = find_or_empty(entries_, item.name());
  const std::vector<SavedPart> parts = parts_of(item);
  if (entries.empty() && parts.empty()) {
    plan_missing(item);
  } else if (are_of_its_kind(item, entries)) {
    plan_found(item, entries.empty() ? nullptr : entries[0], parts, names);
  }
}

// Returns whether all have the live item's kind and class. If not, the report says so.
bool SavedItems::are_of_its_kind(const Item& item,
                                 const std::vector<const ItemEntry*>& entries) const {
  const ItemEntry live = item.entry();
  for (const ItemEntry* entry : entries) {
    if (entry->kind != live.kind) {
      if (!leaves_out(item)) {
        plan_.mismatched(item.name(), live.kind + " here, " + entry->kind + " saved");
      }
      return false;
    }
    if (has_class(live) && entry->type != live.type) {
      plan_.mismatched(item.name(), "the state of " + entry->type + " cannot go into " + live.type);
      return false;
    }
  }
  // Several saved modules can fill one live module; other items need exactly one.
  if (entries.size() < 2 || live.kind == kModule) return true;
  plan_.mismatched(item.name(), "'" + entries[0]->name + "' and '" + entries[1]->name +
                                    "' are both renamed to it");
  return false;
}

// `entry` is null if all of a module's keys come from other modules.
void SavedItems::plan_found(Item& item, const ItemEntry* entry, const std::vector<SavedPart>& parts,
                            const ParameterNames& names) const {
  static const Value kNothing{Dict()};
  const ItemEntry described = item.entry();
  const std::string& saved_name = entry != nullptr ? entry->name : item.name();
  const Value& saved = entry != nullptr ? tree_.at(entry->name) : kNothing;
  const bool is_script = described.kind == kScript;
  const Value script = is_script ? renamed_tree(saved, saved_name, item.name(), plan_) : Value();
  const auto parameters =
      renamed_parameters(find_or_empty(table_.optimizer_parameters, saved_name), plan_.selection());
  const std::vector<std::string> eval_modules = eval_modules_of(parts);
  item.plan({is_script ? script : saved, entry != nullptr ? *entry : described, parameters,
             eval_modules, parts},
            names, plan_);
}

std::vector<std::string> SavedItems::eval_modules_of(const std::vector<SavedPart>& parts) const {
  std::vector<std::string> modules;
  for (const SavedPart& part : parts) {
    for (const std::string& module : find_or_empty(table_.eval_modules, part.path)) {
      modules.push_back(plan_.selection().renamed_path(module));
    }
  }
  return modules;
}

// Returns whether the options' globs choose no key of the item.
bool SavedItems::leaves_out(const Item& item) const {
  if (plan_.options().include().empty() && plan_.options().exclude().empty()) return false;
  bool is_chosen = false;
  item.visit_keys(
      [&](const std::string& key) { is_chosen = is_chosen || plan_.selection().takes(key); });
  return !is_chosen;
}

void SavedItems::plan_missing(const Item& item) const {
  if (leaves_out(item)) return;
  std::vector<std::string> in_file;
  for (const ItemEntry& entry : manifest_.items) in_file.push_back(entry.name);
  plan_.missing_item(item.name(), std::move(in_file));
}

// For a module: returns every saved module that it takes keys from.
std::vector<SavedPart> SavedItems::parts_of(const Item& item) const {
  std::vector<SavedPart> parts;
  if (item.entry().kind != kModule) return parts;
  for (const ItemEntry* entry : find_or_empty(entries_, item.name())) {
    parts.push_back({entry->name, tree_.at(entry->name)});
  }
  if (!plan_.selection().renames()) return parts;
  for (const ItemEntry& entry : manifest_.items) {
    if (entry.kind != kModule || !tree_.contains(entry.name)) continue;
    if (becomes_.at(entry.name) == item.name() || !reaches(entry, item.name())) continue;
    parts.push_back({entry.name, tree_.at(entry.name)});
  }
  return parts;
}

bool SavedItems::reaches(const ItemEntry& module, const std::string& live) const {
  bool reached = false;
  for_saved_keys(tree_.at(module.name), module.name, [&](const std::string& key) {
    reached = reached || is_at_or_below(plan_.selection().renamed(key), live);
  });
  return reached;
}

void SavedItems::note_leftovers() const {
  const Selection& selection = plan_.selection();
  // Only a module takes single keys from other items.
  const auto is_somewhere = [&](const std::string& key) {
    return std::any_of(live_modules_.begin(), live_modules_.end(),
                       [&](const std::string& name) { return is_at_or_below(key, name); });
  };
  for (const ItemEntry& entry : manifest_.items) {
    const std::string& live = becomes_.at(entry.name);
    const bool is_known = is_live(live);
    bool is_used = is_known;
    if (selection.renames() && entry.kind == kModule && tree_.contains(entry.name)) {
      for_saved_keys(tree_.at(entry.name), entry.name, [&](const std::string& saved) {
        const std::string key = selection.renamed(saved);
        if (is_somewhere(key)) {
          is_used = true;
        } else if (is_known && selection.takes_item(live) && selection.takes(key)) {
          plan_.unexpected(key);
        }
      });
    }
    if (!is_used) plan_.ignored_item(entry.name);
  }
}

}  // namespace checkpoint::state
