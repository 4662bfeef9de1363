#pragma once

#include "format/tree/path.h"
#include "state/plan/restore_plan.h"
#include "state/plan/selection.h"

#include <checkpoint/value.h>

#include <string>

namespace checkpoint::state {

/// Calls `visit(key)` with the dotted name of each value in a tree that is not a dict.
template <typename Visit>
void for_saved_keys(const Value& tree, const std::string& path, const Visit& visit);

/// Adds all keys of a saved tree to the check.
void add_saved_keys(const Value& tree, const std::string& path, const Selection& selection,
                    SelectionCheck& check);

/// Returns a saved tree with its names renamed by the options. Use it for an item that is restored
/// as one. `path` is the tree's saved name, `live_path` the live one. A key that leaves the tree is
/// added to the plan as unexpected.
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
