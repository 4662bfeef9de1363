#include "state/plan/saved_items.h"

#include "state/plan/renamed_tree.h"
#include "state/items/rng.h"

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

// The parameters' names as they are live.
std::vector<std::vector<std::string>> renamed_parameters(
    std::vector<std::vector<std::string>> groups, const Selection& selection) {
  for (auto& names : groups) {
    for (std::string& name : names) {
      if (!name.empty()) name = selection.renamed(name);
    }
  }
  return groups;
}

std::vector<std::string> renamed_paths(std::vector<std::string> paths, const Selection& selection) {
  for (std::string& path : paths) path = selection.renamed_path(path);
  return paths;
}

}  // namespace

SavedItems::SavedItems(const Manifest& manifest, const store::TensorTable& table, const Dict& tree,
                       const Items& live, RestorePlan& plan)
    : manifest_(manifest), table_(table), tree_(tree), live_(live), plan_(plan) {
  for (const Item* item : live) live_names_.insert(item->name());
  for (const ItemEntry& entry : manifest.items) {
    becomes_[entry.name] = live_name(entry.name);
    plan.selection().item_becomes(entry.name, becomes_[entry.name]);
  }
}

// The new name if that is a live item's; else it keeps its own.
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
  const std::vector<const ItemEntry*> entries = entries_of(item.name());
  const std::vector<SavedPart> parts = parts_of(item);
  if (entries.empty() && parts.empty()) return plan_missing(item);
  const ItemEntry described = item.describe();
  for (const ItemEntry* entry : entries) {
    if (entry->kind == described.kind) continue;
    if (leaves_out(item)) return;
    plan_.mismatched(item.name(), described.kind + " here, " + entry->kind + " in the file");
    return;
  }
  // Modules share out their keys; no other two can be one.
  if (entries.size() > 1 && described.kind != kModule) {
    plan_.mismatched(item.name(), "'" + entries[0]->name + "' and '" + entries[1]->name +
                                      "' of the file both become it");
    return;
  }
  const Selection& selection = plan_.selection();
  static const Value kNothing{Dict()};
  const ItemEntry& entry = entries.empty() ? described : *entries[0];
  const Value* const saved = entries.empty() ? &kNothing : tree_.find(entry.name);
  const Value value = described.kind == kScript
                          ? renamed_tree(*saved, entry.name, item.name(), plan_)
                          : Value();
  std::vector<std::string> eval_modules;
  for (const SavedPart& part : parts) {
    for (std::string& path :
         renamed_paths(find_or_empty(table_.eval_modules, part.path), selection)) {
      eval_modules.push_back(std::move(path));
    }
  }
  const auto parameters = renamed_parameters(
      find_or_empty(table_.optimizer_parameters, entry.name), selection);
  item.plan({described.kind == kScript ? value : *saved, entry, parameters, eval_modules, parts},
            names, plan_);
}

// Whether the options' globs choose no key of it.
bool SavedItems::leaves_out(const Item& item) const {
  if (plan_.options().include().empty() && plan_.options().exclude().empty()) return false;
  bool is_chosen = false;
  item.visit_keys([&](const std::string& key) {
    is_chosen = is_chosen || plan_.selection().takes(key);
  });
  return !is_chosen;
}

void SavedItems::plan_missing(const Item& item) const {
  if (leaves_out(item)) return;
  std::vector<std::string> in_file;
  for (const ItemEntry& entry : manifest_.items) in_file.push_back(entry.name);
  plan_.missing_item(item.name(), std::move(in_file));
}

// What of the file becomes this live item; more than one only by a rename.
std::vector<const ItemEntry*> SavedItems::entries_of(const std::string& live) const {
  std::vector<const ItemEntry*> entries;
  for (const ItemEntry& entry : manifest_.items) {
    if (becomes_.at(entry.name) == live && tree_.contains(entry.name)) entries.push_back(&entry);
  }
  return entries;
}

// Of a module: every module of the file that it takes keys from.
std::vector<SavedPart> SavedItems::parts_of(const Item& item) const {
  std::vector<SavedPart> parts;
  if (item.describe().kind != kModule) return parts;
  for (const ItemEntry& entry : manifest_.items) {
    const Value* const value = tree_.find(entry.name);
    if (entry.kind != kModule || value == nullptr) continue;
    const bool is_own = becomes_.at(entry.name) == item.name();
    if (is_own || (plan_.selection().renames() && reaches(entry, item.name()))) {
      parts.push_back({entry.name, *value});
    }
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
  const auto is_somewhere = [&](const std::string& key) {
    return std::any_of(live_names_.begin(), live_names_.end(),
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
