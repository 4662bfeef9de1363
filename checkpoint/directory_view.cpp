#include "directory_view.h"

#include "places.h"

#include "store/directory/directory.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace checkpoint::cli {
namespace {

// Those of the newest that can be read; the scan is ordered by age.
KeepRules rules_of_last_run(const std::vector<store::FoundCheckpoint>& found) {
  const auto newest = std::find_if(found.rbegin(), found.rend(),
                                   [](const auto& checkpoint) { return !checkpoint.problem; });
  return newest != found.rend() ? newest->manifest.keep : KeepRules();
}

}  // namespace

Listing look_at(const std::string& path, const KeepRules& given) {
  store::FileSystem& fs = store::posix_file_system();
  need_directory_of_checkpoints(fs, path);
  const store::Directory directory(fs, path);
  std::vector<store::FoundCheckpoint> found = directory.scan();
  const bool rules_given = !given.empty();
  const KeepRules rules = rules_given ? given : rules_of_last_run(found);
  return {store::Retention(rules, true).plan(directory, std::move(found), ""), rules, rules_given};
}

nlohmann::ordered_json standing(const Listing& listing, size_t i) {
  nlohmann::ordered_json fields;
  fields["pinned"] = listing.plan.pins.count(listing.plan.found[i].name) != 0;
  if (!listing.rules.empty()) fields["reasons"] = listing.plan.reasons[i];
  return fields;
}

}  // namespace checkpoint::cli
