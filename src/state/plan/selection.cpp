#include "state/plan/selection.h"

#include "base/user_call.h"

#include <algorithm>
#include <utility>

namespace checkpoint {
namespace state {
namespace {

bool matches_any(const std::vector<std::string>& globs, const std::string& key) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const std::string& glob) { return matches_glob(glob, key); });
}

}  // namespace

bool matches_glob(const std::string& glob, const std::string& text) {
  // Goes back to the last star only: linear in practice, at most glob times text.
  size_t g = 0, t = 0, star = std::string::npos, after_star = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      after_star = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != std::string::npos) {
      g = star + 1;
      t = ++after_star;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

bool Selection::takes_item(const std::string& name) const {
  const std::vector<std::string>& items = options_.items();
  return items.empty() || std::find(items.begin(), items.end(), name) != items.end();
}

bool Selection::takes(const std::string& key) const {
  return (options_.include().empty() || matches_any(options_.include(), key)) &&
         !matches_any(options_.exclude(), key);
}

std::string Selection::renamed(const std::string& key) const {
  if (!options_.rename()) return key;
  return store::call_user("the function given to rename", [&] { return options_.rename()(key); });
}

}  // namespace state

RestoreOptions& RestoreOptions::rename(std::string from, std::string to) {
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
