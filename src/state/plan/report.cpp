#include "base/near_names.h"

#include <checkpoint/restore.h>

#include <string>
#include <vector>

namespace checkpoint {
namespace {

void add(std::string& text, const char* title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  if (!text.empty()) text += '\n';
  text += std::string("  ") + title + ':';
  for (const std::string& line : lines) text += "\n    " + line;
}

}  // namespace

std::string RestoreReport::to_string() const {
  std::vector<std::string> candidates = unexpected;
  if (!file_items.empty()) {
    candidates.insert(candidates.end(), ignored_items.begin(), ignored_items.end());
  }
  const std::vector<std::string> nearest = base::nearest_names(missing, candidates);
  std::vector<std::string> missing_lines = missing;
  for (size_t i = 0; i < missing.size(); ++i) {
    if (!nearest[i].empty()) missing_lines[i] += "   (saved: " + nearest[i] + ")";
  }
  std::string text;
  add(text, "live, but not saved", missing_lines);
  if (!file_items.empty()) add(text, "saved items", {base::listed(file_items)});
  add(text, "saved, but not live", unexpected);
  add(text, "different", mismatched);
  return text;
}

}  // namespace checkpoint
