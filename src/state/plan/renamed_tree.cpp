// Applies a rename to a saved tree that is restored as one. Each entry that stays in its dict keeps
// its key. An entry that moves goes to the dict of its new name. An entry whose new name leaves the
// tree is reported as unexpected.

#include "state/plan/renamed_tree.h"

#include <utility>

namespace checkpoint::state {
namespace {

// Adds a value under a dotted name, into nested dicts that it makes. Returns false if the name is
// taken.
bool insert_nested(Dict& dict, const std::string& name, Value value) {
  const size_t dot = name.find('.');
  if (dot == std::string::npos) {
    if (dict.contains(name)) return false;
    dict.insert(name, std::move(value));
    return true;
  }
  const std::string first = name.substr(0, dot);
  if (!dict.contains(first)) dict.insert(first, Dict());
  Value& below = *dict.find(first);
  return below.is_dict() && insert_nested(below.dict(), name.substr(dot + 1), std::move(value));
}

// Builds one renamed tree.
class TreeRenaming {
 public:
  TreeRenaming(const std::string& live_path, RestorePlan& plan)
      : live_path_(live_path), plan_(plan) {}

  Dict run(const Dict& saved, const std::string& path) {
    Dict result;
    lay_out(saved, path, live_path_, result, result);
    return result;
  }

 private:
  // An entry that stays in its dict keeps its key, which may be a number or contain dots.
  void lay_out(const Dict& saved, const std::string& path, const std::string& live_path, Dict& into,
               Dict& root) {
    for (const auto& [key, value] : saved) {
      const std::string here = dotted_name(path, key);
      const std::string live =
          value.is_dict() ? plan_.selection().renamed_path(here) : plan_.selection().renamed(here);
      const bool stays = live == dotted_name(live_path, key);
      if (value.is_dict()) {
        Dict below;
        lay_out(value.dict(), here, live, below, root);
        if (below.empty() && !value.dict().empty()) continue;  // All of it is elsewhere.
        add(key, stays, live, std::move(below), into, root);
      } else {
        add(key, stays, live, value, into, root);
      }
    }
  }

  void add(const Key& key, bool stays, const std::string& live, Value value, Dict& into,
           Dict& root) {
    if (stays && !into.contains(key)) {
      into.insert(key, std::move(value));
    } else if (live != live_path_ && is_at_or_below(live, live_path_)) {
      const std::string below = live_path_.empty() ? live : live.substr(live_path_.size() + 1);
      if (!insert_nested(root, below, std::move(value))) {
        plan_.mismatched(live, "two saved keys are renamed to it");
      }
    } else if (plan_.selection().takes(live)) {
      plan_.unexpected(live);
    }
  }

  static std::string dotted_name(const std::string& path, const Key& key) {
    return format::dotted(path, to_string(key));
  }

  const std::string& live_path_;
  RestorePlan& plan_;
};

}  // namespace

void add_saved_keys(const Value& tree, const std::string& path, const Selection& selection,
                    SelectionCheck& check) {
  for_saved_keys(tree, path,
                 [&](const std::string& key) { check.add_saved(key, selection.renamed(key)); });
}

Value renamed_tree(const Value& tree, const std::string& path, const std::string& live_path,
                   RestorePlan& plan) {
  if (!plan.selection().renames() || !tree.is_dict()) return tree;
  return TreeRenaming(live_path, plan).run(tree.dict(), path);
}

}  // namespace checkpoint::state
