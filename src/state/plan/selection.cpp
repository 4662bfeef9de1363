// What `items`, `include`, `exclude` and `rename` choose. Selection answers for one key.
// SelectionCheck sees all live and saved keys before a restore, and refuses an option that chooses
// nothing, because that is a typing error.

#include "state/plan/selection.h"

#include "base/log.h"
#include "base/near_names.h"
#include "base/text.h"
#include "base/user_call.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace checkpoint {
namespace state {
namespace {

std::vector<base::Glob> compiled(const std::vector<std::string>& globs) {
  return std::vector<base::Glob>(globs.begin(), globs.end());
}

bool matches_any(const std::vector<base::Glob>& globs, const std::string& key) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const base::Glob& glob) { return glob.matches(key); });
}

bool meets_any(const base::Glob& glob, const std::vector<std::string>& keys) {
  return std::any_of(keys.begin(), keys.end(),
                     [&](const std::string& key) { return glob.matches(key); });
}

std::string renamed_by_user(const RestoreOptions::Rename& function, const std::string& key) {
  return base::call_user("the function given to rename", [&] { return function(key); });
}

[[noreturn]] void refuse_selection(const std::string& what, const std::string& path,
                                   const std::string& hint) {
  throw Error(ErrorCode::kInvalidArgument, what + "; nothing was changed", path, 0, hint);
}

// Returns advice for a glob that matches nothing.
std::string hint_for(const std::string& glob, const std::vector<std::string>& keys) {
  if (meets_any(base::Glob(glob + ".*"), keys)) {
    return "Write '" + glob + ".*' for all that is below it.";
  }
  for (const std::string& key : keys) {
    if (base::begins_with(glob, key + '.'))
      return "Write '" + key + "': it is restored as a whole.";
  }
  return "Write dotted keys that begin with the item's name. `*` matches any characters; only "
         "modules have keys below their names.";
}

}  // namespace

bool is_at_or_below(const std::string& key, const std::string& path) {
  return path.empty() ||
         (base::begins_with(key, path) && (key.size() == path.size() || key[path.size()] == '.'));
}

Selection::Selection(const RestoreOptions& options)
    : options_(options),
      include_(compiled(options.include())),
      exclude_(compiled(options.exclude())) {}

bool Selection::takes_item(const std::string& name) const {
  const std::vector<std::string>& items = options_.items();
  return items.empty() || std::find(items.begin(), items.end(), name) != items.end();
}

bool Selection::takes(const std::string& key) const {
  return (include_.empty() || matches_any(include_, key)) && !matches_any(exclude_, key);
}

std::string Selection::renamed(const std::string& key) const {
  if (!renames()) return key;
  std::string live = renamed_by_user(options_.rename(), key);
  return live != key ? live : follow_item(key);
}

std::string Selection::renamed_path(const std::string& path) const {
  if (!renames() || path.empty()) return path;
  // Renames the path as its keys are renamed, so that it stays their prefix.
  std::string live = renamed_by_user(options_.rename(), path + '.');
  const bool is_path = live.size() > 1 && live.back() == '.' && live != path + '.';
  if (is_path) return live.substr(0, live.size() - 1);
  live = renamed_by_user(options_.rename(), path);
  return live != path ? live : follow_item(path);
}

void Selection::item_becomes(const std::string& saved, const std::string& live) {
  if (saved != live) items_[saved] = live;
}

std::string Selection::follow_item(const std::string& key) const {
  for (const auto& [saved, live] : items_) {
    if (is_at_or_below(key, saved)) return live + key.substr(saved.size());
  }
  return key;
}

bool SelectionCheck::is_needed() const {
  const RestoreOptions& options = selection_.options();
  return !options.items().empty() || !options.include().empty() || !options.exclude().empty() ||
         selection_.renames();
}

void SelectionCheck::add_live(const std::string& item, const std::string& key) {
  live_.insert(key);
  if (selection_.takes_item(item) && selection_.takes(key)) chosen_.insert(key);
}

void SelectionCheck::add_live_item(const std::string& item) {
  const RestoreOptions& options = selection_.options();
  const bool by_items_alone = options.include().empty() && options.exclude().empty();
  if (by_items_alone && selection_.takes_item(item)) is_item_chosen_ = true;
}

void SelectionCheck::add_saved(const std::string& key, const std::string& live) {
  saved_.emplace(key, live);
}

void SelectionCheck::require(const std::string& path) const {
  const RestoreOptions& options = selection_.options();
  require_globs("include", options.include(), path);
  require_globs("exclude", options.exclude(), path);
  require_prefixes(path);
  require_function(path);
  require_choice(path);
}

void SelectionCheck::require_globs(const char* option, const std::vector<std::string>& globs,
                                   const std::string& path) const {
  if (globs.empty()) return;
  const std::vector<std::string> keys = choosable();
  for (const std::string& text : globs) {
    const base::Glob glob(text);
    if (meets_any(glob, keys)) continue;
    refuse_selection(std::string("RestoreOptions::") + option + ": '" + text +
                         "' matches no live or saved key" + base::instead_of(glob, keys),
                     path, hint_for(text, keys));
  }
}

// Returns all saved names that a rename could match, or nullopt if it matches one.
template <typename Meets>
std::optional<std::vector<std::string>> SelectionCheck::keys_unless_met(const Meets& meets) const {
  std::vector<std::string> keys;
  for (const auto& [key, live] : saved_) {
    if (meets(key)) return {};
    keys.push_back(key);
  }
  for (const std::string& name : names_) {
    if (meets(name) || meets(name + '.')) return {};
    keys.push_back(name);
  }
  return keys;
}

void SelectionCheck::require_prefixes(const std::string& path) const {
  for (size_t i = 0; i < selection_.options().renamed_prefixes().size(); ++i) {
    require_prefix(i, path);
  }
}

// If several prefixes fit a key, only the first is used.
void SelectionCheck::require_prefix(size_t which, const std::string& path) const {
  const auto& prefixes = selection_.options().renamed_prefixes();
  // Not by a structured binding: C++17 lets no lambda capture one, as clang says.
  const std::string& from = prefixes[which].first;
  const std::string& to = prefixes[which].second;
  const RestoreOptions::Rename& function = selection_.options().renaming_function();
  const auto is_taken_before = [&](const std::string& key) {
    if (function && renamed_by_user(function, key) != key) return true;
    return std::any_of(prefixes.begin(), prefixes.begin() + static_cast<std::ptrdiff_t>(which),
                       [&](const auto& earlier) { return base::begins_with(key, earlier.first); });
  };
  bool is_hidden = false;
  const auto meets = [&](const std::string& key) {
    if (!base::begins_with(key, from)) return false;
    is_hidden = is_hidden || is_taken_before(key);
    return !is_taken_before(key);
  };
  const std::optional<std::vector<std::string>> keys = keys_unless_met(meets);
  if (!keys) return;
  const std::string call = "RestoreOptions::rename('" + from + "', '" + to + "')";
  if (is_hidden) {
    refuse_selection(call + " is never used: an earlier rename takes every key that it matches",
                     path, "Put the longer prefix first: only the first match is used.");
  }
  // A training started again with the same command finds keys that it has already renamed.
  if (!to.empty() && has_all_below(to)) {
    base::log_info(call + " has no effect: '" + path + "' already has the new names");
    return;
  }
  refuse_selection(
      call + " matches no saved key" + base::instead_of(base::Glob::of_prefix(from), *keys), path,
      "Write dotted keys that begin with the item's name.");
}

void SelectionCheck::require_function(const std::string& path) const {
  const RestoreOptions::Rename& function = selection_.options().renaming_function();
  if (!function) return;
  const auto meets = [&](const std::string& key) { return renamed_by_user(function, key) != key; };
  const std::optional<std::vector<std::string>> keys = keys_unless_met(meets);
  if (!keys || has_all_below("")) return;
  refuse_selection(
      "RestoreOptions::rename: the function changes no saved key; there are " + base::listed(*keys),
      path, "Write dotted keys that begin with the item's name.");
}

void SelectionCheck::require_choice(const std::string& path) const {
  const RestoreOptions& options = selection_.options();
  const bool chooses =
      !options.items().empty() || !options.include().empty() || !options.exclude().empty();
  if (!chooses || is_item_chosen_ || !chosen_.empty() || live_.empty()) return;
  refuse_selection(
      "RestoreOptions: items, include and exclude together choose no live key; there are " +
          base::listed({live_.begin(), live_.end()}),
      path, "Write dotted keys that begin with the item's name.");
}

// Returns what a glob may match: live keys, and saved keys by their new names.
std::vector<std::string> SelectionCheck::choosable() const {
  std::set<std::string> keys = live_;
  for (const auto& [key, live] : saved_) {
    if (!is_below_a_live_key(live)) keys.insert(live);
  }
  return {keys.begin(), keys.end()};
}

// Returns whether the key is part of something that is restored whole.
bool SelectionCheck::is_below_a_live_key(const std::string& key) const {
  for (size_t dot = key.find('.'); dot != std::string::npos; dot = key.find('.', dot + 1)) {
    if (live_.count(key.substr(0, dot)) != 0) return true;
  }
  return false;
}

// Returns whether at least one chosen live key begins with `prefix`, and all such keys were saved.
bool SelectionCheck::has_all_below(const std::string& prefix) const {
  std::set<std::string> in_file;
  for (const auto& [key, live] : saved_) in_file.insert(live);
  bool any = false;
  for (auto key = chosen_.lower_bound(prefix); key != chosen_.end(); ++key) {
    if (!base::begins_with(*key, prefix)) break;
    const auto below = in_file.lower_bound(*key + '.');  // For what is restored whole.
    const bool has_below = below != in_file.end() && base::begins_with(*below, *key + '.');
    if (!has_below && in_file.count(*key) == 0) return false;
    any = true;
  }
  return any;
}

}  // namespace state

RestoreOptions& RestoreOptions::rename(Rename function) {
  renaming_function_ = function;
  renamed_prefixes_.clear();
  return set(rename_, std::move(function));
}

RestoreOptions& RestoreOptions::rename(std::string from, std::string to) {
  renamed_prefixes_.emplace_back(from, to);
  Rename before = std::move(rename_);
  rename_ = [before = std::move(before), from = std::move(from),
             to = std::move(to)](const std::string& key) {
    if (before) {
      std::string renamed = before(key);
      if (renamed != key) return renamed;
    }
    return key.rfind(from, 0) == 0 ? to + key.substr(from.size()) : key;
  };
  return *this;
}

}  // namespace checkpoint
