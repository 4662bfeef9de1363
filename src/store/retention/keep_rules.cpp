// Decides why each checkpoint stays. Each rule goes through the checkpoints in the order of saving
// and adds a reason to those that it keeps. No rule takes a reason away. retention.cpp removes the
// checkpoints without a reason.
//
// A rule that cannot decide, because its metric or step is missing everywhere, keeps all: nothing
// must be lost because of a spelling mistake.

#include "store/retention/keep_rules.h"

#include "base/clock.h"
#include "base/user_call.h"
#include "store/retention/ranking.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace checkpoint::store {
namespace {

// Collects the reasons for one list of checkpoints, one rule at a time.
class Judgement {
 public:
  explicit Judgement(const std::vector<FoundCheckpoint>& found)
      : found_(found), reasons_(found.size()) {
    for (size_t i = 0; i < found.size(); ++i) {
      if (found[i].problem) {
        reasons_[i].push_back("damaged: removed only on request");
      } else {
        whole_.push_back(i);
      }
    }
  }

  void keep_all(const std::string& why) {
    for (const size_t i : whole_) keep(i, why);
  }

  // A resume continues from it. And a save must not remove what it has just saved.
  void keep_newest() {
    if (!whole_.empty()) keep(whole_.back(), "newest");
  }

  void keep_pinned(const std::set<std::string>& pins) {
    for (const size_t i : whole_) {
      if (pins.count(found_[i].name) != 0) keep(i, "pinned");
    }
  }

  // Keeps the checkpoint that the newest one's run was resumed from, and the one that the caller's
  // run was resumed from: that run may not have saved yet.
  void keep_parents(const std::string& resumed_from) {
    if (whole_.empty()) return;
    const std::string& newest_parent = found_[whole_.back()].manifest.parent;
    for (const size_t i : whole_) {
      const std::string& name = found_[i].name;
      if (name == newest_parent || name == resumed_from) keep(i, "the run was resumed from it");
    }
  }

  void keep_last(int64_t count) {
    const size_t first = whole_.size() - std::min(whole_.size(), static_cast<size_t>(count));
    for (size_t i = first; i < whole_.size(); ++i) {
      keep(whole_[i], fmt::format("keep_last({})", count));
    }
  }

  // If no checkpoint has the metric, it is misspelt or not measured yet. We cannot know which one
  // is best, so nothing is removed.
  void keep_best(const BestRule& rule) {
    const std::string name = fmt::format("keep_best({}, {}, {})", rule.count, rule.metric,
                                         rule.mode == Mode::kMin ? "min" : "max");
    if (ranks_nothing(found_, rule)) {
      keep_all(name + ": no checkpoint has that metric (missing or NaN)");
      return;
    }
    const std::vector<size_t> order = ranked(found_, rule);
    const size_t count = std::min(order.size(), static_cast<size_t>(rule.count));
    for (size_t rank = 0; rank < count; ++rank) {
      const bool has_value =
          !std::isnan(metric_value(found_[order[rank]].manifest.progress, rule.metric));
      keep(order[rank],
           fmt::format("{}: rank {}{}", name, rank + 1, has_value ? "" : ", without that metric"));
    }
  }

  // Progress::step is 0 if the training loop does not count steps.
  void keep_every_n_steps(int64_t n) {
    const bool counts_steps = std::any_of(whole_.begin(), whole_.end(),
                                          [this](size_t i) { return progress(i).step != 0; });
    if (!counts_steps) {
      keep_all(fmt::format("keep_every_n_steps({}): no checkpoint has a step", n));
      return;
    }
    keep_every_n(n, "keep_every_n_steps", [](const Progress& progress) { return progress.step; });
  }

  // Saves need not be at multiples of n. For each multiple, the first checkpoint that has reached
  // it stays. After a rollback, the checkpoint of the new branch wins over one of the old branch
  // that is equally far.
  template <typename Counter>
  void keep_every_n(int64_t n, const char* rule, const Counter& counter) {
    const auto order = [&](size_t i) {
      return std::make_tuple(counter(progress(i)), progress(i).step, -static_cast<int64_t>(i));
    };
    std::map<int64_t, size_t> first_of;
    for (const size_t i : whole_) {
      const int64_t multiple = counter(progress(i)) / n;
      if (multiple < 1) continue;
      const auto [first, is_new] = first_of.emplace(multiple, i);
      if (!is_new && order(i) < order(first->second)) first->second = i;
    }
    for (const auto& [multiple, i] : first_of) keep(i, fmt::format("{}({})", rule, n));
  }

  // Uses the times in the manifests. If the clock was set back, that counts as a gap too, and the
  // new time counts from then on. Keeps a checkpoint without a valid time.
  void keep_every(double seconds) {
    std::optional<int64_t> last;
    for (const size_t i : whole_) {
      const std::optional<int64_t> time = base::parse_utc(found_[i].manifest.created);
      if (time && last && std::abs(static_cast<double>(*time - *last)) < seconds) continue;
      keep(i, fmt::format("keep_every({:.6g} h)", seconds / 3600));
      if (time) last = time;
    }
  }

  void keep_if(const KeepRules::Predicate& predicate) {
    for (const size_t i : whole_) {
      const bool wanted = base::call_user("a function given to keep_if",
                                          [&] { return predicate(found_[i].manifest); });
      if (wanted) keep(i, "keep_if");
    }
  }

  std::vector<Reasons> finish() { return std::move(reasons_); }

 private:
  const Progress& progress(size_t i) const { return found_[i].manifest.progress; }
  void keep(size_t i, std::string why) { reasons_[i].push_back(std::move(why)); }

  const std::vector<FoundCheckpoint>& found_;
  std::vector<size_t> whole_;
  std::vector<Reasons> reasons_;
};

}  // namespace

std::vector<Reasons> reasons_to_stay(const std::vector<FoundCheckpoint>& found,
                                     const std::set<std::string>& pins,
                                     const std::string& resumed_from, const KeepRules& rules) {
  Judgement judgement(found);
  judgement.keep_newest();
  judgement.keep_pinned(pins);
  judgement.keep_parents(resumed_from);
  if (rules.empty()) judgement.keep_all("no rule says what to remove");
  if (rules.last > 0) judgement.keep_last(rules.last);
  for (const BestRule& rule : rules.best) judgement.keep_best(rule);
  if (rules.every_n_epochs > 0) {
    judgement.keep_every_n(rules.every_n_epochs, "keep_every_n_epochs",
                           [](const Progress& progress) { return progress.next_epoch(); });
  }
  if (rules.every_n_steps > 0) judgement.keep_every_n_steps(rules.every_n_steps);
  if (rules.every.count() > 0) judgement.keep_every(rules.every.count());
  for (const KeepRules::Predicate& predicate : rules.predicates) judgement.keep_if(predicate);
  return judgement.finish();
}

}  // namespace checkpoint::store
