#pragma once

#include "base/glob.h"

#include <checkpoint/restore.h>

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace checkpoint::state {

/// Returns whether a dotted key is `path`, or is below it. All keys are below "".
bool is_at_or_below(const std::string& key, const std::string& path);

/// What RestoreOptions choose and rename. The options must outlive it.
class Selection {
 public:
  explicit Selection(const RestoreOptions& options);

  /// Returns whether the option `items` allows this item.
  bool takes_item(const std::string& name) const;
  /// Returns whether a key, or the name of an item that is restored whole, is chosen.
  bool takes(const std::string& key) const;

  bool renames() const { return static_cast<bool>(options_.rename()); }
  /// Returns the live key for a saved key: a tensor's or a parameter's.
  std::string renamed(const std::string& key) const;
  /// Does the same for a name that has keys below it: a module's or an item's. "model" becomes
  /// "net" also if only "model." becomes "net.".
  std::string renamed_path(const std::string& path) const;
  /// Records that a saved item becomes a live one. Keys below it follow, unless they are renamed
  /// otherwise.
  void item_becomes(const std::string& saved, const std::string& live);

  const RestoreOptions& options() const { return options_; }

 private:
  // Returns the key with its item's new name.
  std::string follow_item(const std::string& key) const;

  const RestoreOptions& options_;
  std::vector<base::Glob> include_;
  std::vector<base::Glob> exclude_;
  std::map<std::string, std::string> items_;  // From saved names to live ones, if different.
};

/// Collects all keys, and finds options that match none of them. Such an option would do nothing,
/// although the user meant something by it.
class SelectionCheck {
 public:
  explicit SelectionCheck(const Selection& selection) : selection_(selection) {}

  /// Returns whether the options choose or rename anything. If not, no key needs to be added.
  bool is_needed() const;
  /// Adds a live tensor's key, or the name of what is restored whole.
  void add_live(const std::string& item, const std::string& key);
  /// Adds a live item's name, for an item that may have no keys.
  void add_live_item(const std::string& item);
  /// Adds a saved key that can be chosen: its saved name and its new name.
  void add_saved(const std::string& key, const std::string& live);
  /// Adds a saved name that only a rename can match: a parameter's, or that of a module or item,
  /// which may have keys below it.
  void add_name(const std::string& name) { names_.insert(name); }

  /// Throws Error(invalid_argument) for a glob or a rename that matches no key, and for options
  /// that together choose no live key. `path` is the file's.
  void require(const std::string& path) const;

 private:
  void require_globs(const char* option, const std::vector<std::string>& globs,
                     const std::string& path) const;
  void require_prefixes(const std::string& path) const;
  void require_prefix(size_t which, const std::string& path) const;
  template <typename Meets>
  std::optional<std::vector<std::string>> keys_unless_met(const Meets& meets) const;
  void require_function(const std::string& path) const;
  void require_choice(const std::string& path) const;
  std::vector<std::string> choosable() const;
  bool is_below_a_live_key(const std::string& key) const;
  bool has_all_below(const std::string& prefix) const;

  const Selection& selection_;
  std::set<std::string> live_;
  std::set<std::string> chosen_;  // A part of live_.
  std::map<std::string, std::string> saved_;
  std::set<std::string> names_;
  bool is_item_chosen_ = false;
};

}  // namespace checkpoint::state
