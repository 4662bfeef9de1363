#pragma once

#include "format/tree/path.h"
#include "state/plan/restore_plan.h"
#include "state/plan/selection.h"

#include <checkpoint/value.h>

#include <string>

namespace checkpoint::state {

/// Calls `visit(key)` for all in a tree but its dicts, by dotted names.
template <typename Visit>
void for_saved_keys(const Value& tree, const std::string& path, const Visit& visit);

/// Tells the check of all keys of a saved tree.
void add_saved_keys(const Value& tree, const std::string& path, const Selection& selection,
                    SelectionCheck& check);

/// A saved tree that is restored as one, with the names in its dicts as the options rename them.
/// `path` is its name in the file, `live_path` the live one. What would leave it is unexpected.
Value renamed_tree(const Value& tree, const std::string& path, const std::string& live_path,
                   RestorePlan& plan);

template <typename Visit>
void for_saved_keys(const Value& tree, const std::string& path, const Visit& visit) {
  if (!tree.is_dict()) {
    visit(path);
    return;
  }
  for (const auto& [key, entry] : tree.dict()) {
    for_saved_keys(entry, format::dotted(path, to_string(key)), visit);
  }
}

}  // namespace checkpoint::state
