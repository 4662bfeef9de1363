#include "directory_view.h"

#include "places.h"

#include "store/directory/directory.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace checkpoint::cli {
namespace {

// Returns the rules in the newest manifest that can be read. The scan is sorted by age.
KeepRules rules_of_last_run(const std::vector<store::FoundCheckpoint>& found) {
  const auto newest = std::find_if(found.rbegin(), found.rend(),
                                   [](const auto& checkpoint) { return !checkpoint.problem; });
  return newest != found.rend() ? newest->manifest.keep : KeepRules();
}

}  // namespace

DirectoryView read_directory(const std::string& path, const KeepRules& given) {
  store::FileSystem& fs = store::posix_file_system();
  need_directory_of_checkpoints(fs, path);
  const store::Directory directory(fs, path);
  std::vector<store::FoundCheckpoint> found = directory.scan();
  const bool rules_given = !given.empty();
  const KeepRules rules = rules_given ? given : rules_of_last_run(found);
  return {store::Retention(rules, true).decide(directory, std::move(found), ""), rules,
          rules_given};
}

nlohmann::ordered_json retention_fields(const DirectoryView& view, size_t i) {
  nlohmann::ordered_json fields;
  fields["pinned"] = view.decision.pins.count(view.decision.found[i].name) != 0;
  if (!view.rules.empty()) fields["reasons"] = view.decision.reasons[i];
  return fields;
}

}  // namespace checkpoint::cli
