#include "manager/retention.h"

#include "store/log.h"
#include "store/retire.h"
#include "store/verify.h"

#include <algorithm>
#include <vector>

namespace checkpoint::manager {

void Retention::apply(const store::Directory& directory, const std::string& newest) {
  if (keep_last_ <= 0) return;
  std::vector<std::string> whole;
  for (const store::FoundCheckpoint& found : directory.scan()) {
    // A damaged one may be what somebody wants to look at; it is never taken away silently.
    if (!found.problem) whole.push_back(found.name);
  }
  const auto keep = static_cast<size_t>(keep_last_);
  if (whole.size() <= keep) return;
  const auto first_staying = whole.end() - static_cast<std::ptrdiff_t>(keep);
  if (!stays_safe(directory, {first_staying, whole.end()}, newest)) return;
  for (auto name = whole.begin(); name != first_staying; ++name) {
    if (store::retire(directory, *name)) {
      store::log_info("removed checkpoint '" + directory.path_of(*name) + "': newer ones are kept");
    }
    read_back_.erase(*name);
  }
}

bool Retention::stays_safe(const store::Directory& directory, const std::set<std::string>& staying,
                           const std::string& newest) {
  if (!verify_before_retire_) return true;
  const bool one_was_read_back =
      std::any_of(staying.begin(), staying.end(),
                  [&](const std::string& name) { return read_back_.count(name) != 0; });
  if (one_was_read_back) return true;
  try {
    store::verify_checkpoint(directory.fs(), directory.path_of(newest), store::ReadFrom::kDisk);
  } catch (const Error& error) {
    store::log_error("checkpoint '" + directory.path_of(newest) +
                     "' cannot be read back, so the older ones are kept: " + error.what());
    return false;
  }
  read_back_.insert(newest);
  return true;
}

}  // namespace checkpoint::manager
