#pragma once

#include <checkpoint/restore.h>

#include <string>

namespace checkpoint::state {

/// Whether `text` matches a glob: `*` stands for any characters, `?` for one.
bool matches_glob(const std::string& glob, const std::string& text);

/// What RestoreOptions choose. The options must outlive it.
class Selection {
 public:
  explicit Selection(const RestoreOptions& options) : options_(options) {}

  /// Whether an item is to be restored at all.
  bool takes_item(const std::string& name) const;
  /// Whether a key, or the name of an item that is restored whole, is chosen.
  bool takes(const std::string& key) const;
  /// The live key for a key of the file.
  std::string renamed(const std::string& key) const;

 private:
  const RestoreOptions& options_;
};

}  // namespace checkpoint::state
