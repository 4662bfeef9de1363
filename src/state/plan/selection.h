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

/// Whether a dotted key is `path`, or stands below it. All keys stand below "".
bool is_at_or_below(const std::string& key, const std::string& path);

/// What RestoreOptions choose. The options must outlive it.
class Selection {
 public:
  explicit Selection(const RestoreOptions& options);

  /// Whether an item is restored at all.
  bool takes_item(const std::string& name) const;
  /// Whether a key, or the name of an item that is restored whole, is chosen.
  bool takes(const std::string& key) const;

  bool renames() const { return static_cast<bool>(options_.rename()); }
  /// The live key for a key of the file: a tensor's or a parameter's.
  std::string renamed(const std::string& key) const;
  /// The same for what has keys below it: a module, or an item. "model" becomes "net" also where
  /// "model." becomes "net.".
  std::string renamed_path(const std::string& path) const;
  /// That an item of the file becomes a live one; keys below it that nothing else renames follow.
  void item_becomes(const std::string& saved, const std::string& live);

  const RestoreOptions& options() const { return options_; }

 private:
  // The key after its item.
  std::string follow_item(const std::string& key) const;

  const RestoreOptions& options_;
  std::vector<base::Glob> include_;
  std::vector<base::Glob> exclude_;
  std::map<std::string, std::string> items_;  // From names of the file to live ones, if others.
};

/// Collects what keys there are, and finds what RestoreOptions say of keys that there are not: each
/// such word was meant for something, and would do nothing.
class SelectionCheck {
 public:
  explicit SelectionCheck(const Selection& selection) : selection_(selection) {}

  /// Whether the options choose or rename anything; else it wants no key.
  bool is_needed() const;
  /// A live tensor's key, or the name of what is restored whole.
  void add_live(const std::string& item, const std::string& key);
  /// A live item without any key.
  void add_live_item(const std::string& item);
  /// A key of the file that can be chosen, as it is there and as it becomes.
  void add_saved(const std::string& key, const std::string& live);
  /// A name of the file that only a rename can speak of: a parameter's, or a module's or item's,
  /// which keys may stand below.
  void add_name(const std::string& name) { names_.insert(name); }

  /// Throws Error(invalid_argument) for a glob that meets no key, a rename that meets none, and
  /// options that choose nothing of what is live. `path` is the file's.
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
  std::set<std::string> chosen_;  // Of the live ones.
  std::map<std::string, std::string> saved_;
  std::set<std::string> names_;
  bool is_item_chosen_ = false;
};

}  // namespace checkpoint::state
