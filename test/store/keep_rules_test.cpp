#include "support/catch.h"

#include "store/retention/keep_rules.h"
#include "store/retention/ranking.h"

#include <checkpoint/error.h>

#include <cmath>
#include <limits>

using namespace checkpoint;
using namespace checkpoint::store;

namespace {

using Names = std::vector<std::string>;
const double kNone = std::numeric_limits<double>::quiet_NaN();

// A directory as a scan finds it.
class Found {
 public:
  // Saved after those before it.
  Manifest& add(const std::string& name, Progress progress = {}) {
    FoundCheckpoint found;
    found.name = name;
    found.sequence = static_cast<int64_t>(found_.size()) + 1;
    found.manifest.name = name;
    found.manifest.sequence = found.sequence;
    found.manifest.created = "2026-11-23T15:02:11Z";
    found.manifest.progress = std::move(progress);
    found_.push_back(std::move(found));
    return found_.back().manifest;
  }
  void add_damaged(const std::string& name) {
    add(name);
    found_.back().manifest = {};
    found_.back().problem = Error(ErrorCode::kCorrupt, "damaged", name);
  }

  std::vector<Reasons> judge(const KeepRules& rules) const {
    return reasons_to_stay(found_, pins, resumed_from, rules);
  }
  Names kept(const KeepRules& rules) const {
    const std::vector<Reasons> reasons = judge(rules);
    Names names;
    for (size_t i = 0; i < found_.size(); ++i) {
      if (!reasons[i].empty()) names.push_back(found_[i].name);
    }
    return names;
  }
  // Those that stay for this reason, and perhaps for others.
  Names kept_because(const std::string& reason, const KeepRules& rules) const {
    const std::vector<Reasons> reasons = judge(rules);
    Names names;
    for (size_t i = 0; i < found_.size(); ++i) {
      for (const std::string& one : reasons[i]) {
        if (one.rfind(reason, 0) == 0) names.push_back(found_[i].name);
      }
    }
    return names;
  }
  const std::vector<FoundCheckpoint>& all() const { return found_; }

  std::set<std::string> pins;
  std::string resumed_from;

 private:
  std::vector<FoundCheckpoint> found_;
};

Found epochs(int64_t count) {
  Found found;
  for (int64_t epoch = 0; epoch < count; ++epoch) {
    found.add("e" + std::to_string(epoch), {epoch, (epoch + 1) * 10});
  }
  return found;
}

KeepRules last(int64_t n) {
  KeepRules rules;
  rules.last = n;
  return rules;
}

KeepRules best(int64_t k, const std::string& metric, Mode mode) {
  KeepRules rules;
  rules.best.push_back({k, metric, mode});
  return rules;
}

}  // namespace

TEST_CASE("Without a rule everything stays, with that as the reason") {
  Found found = epochs(3);
  CHECK(found.kept({}) == Names{"e0", "e1", "e2"});
  CHECK(found.kept_because("no rule", {}).size() == 3);
  CHECK(Found().judge({}).empty());
  CHECK(Found().judge(last(1)).empty());
}

TEST_CASE("keep_last keeps the newest") {
  Found found = epochs(5);
  CHECK(found.kept(last(2)) == Names{"e3", "e4"});
  CHECK(found.kept(last(9)).size() == 5);
  CHECK(found.judge(last(2))[4] == Reasons{"newest", "keep_last(2)"});
}

TEST_CASE("keep_best ranks by a metric, in either mode; the newest stays too") {
  Found found;
  found.add("a", {0, 0, 0.5, {{"acc", 0.2}}});
  found.add("b", {1, 0, 0.1, {{"acc", 0.9}}});
  found.add("c", {2, 0, 0.3, {{"acc", 0.4}}});
  found.add("d", {3, 0, 0.9, {{"acc", 0.3}}});
  CHECK(found.kept(best(1, "loss", Mode::kMin)) == Names{"b", "d"});
  CHECK(found.kept(best(2, "loss", Mode::kMin)) == Names{"b", "c", "d"});
  CHECK(found.kept(best(2, "loss", Mode::kMax)) == Names{"a", "d"});
  CHECK(found.kept(best(1, "acc", Mode::kMax)) == Names{"b", "d"});
  CHECK(found.kept(best(1, "acc", Mode::kMin)) == Names{"a", "d"});
  CHECK(found.kept(best(0, "acc", Mode::kMin)) == Names{"d"});
  CHECK(found.judge(best(2, "acc", Mode::kMax))[2] == Reasons{"keep_best(2, acc, max): rank 2"});

  KeepRules two = best(1, "acc", Mode::kMin);
  two.best.push_back({1, "loss", Mode::kMin});
  CHECK(found.kept(two) == Names{"a", "b", "d"});
}

TEST_CASE("A metric that is missing or NaN ranks worst, and infinities where they belong") {
  const double infinity = std::numeric_limits<double>::infinity();
  Found found;
  found.add("nan", {0, 0, 0, {{"m", kNone}}});
  found.add("none");
  found.add("high", {0, 0, 0, {{"m", infinity}}});
  found.add("low", {0, 0, 0, {{"m", -infinity}}});
  found.add("one", {0, 0, 0, {{"m", 1}}});
  found.add("end");
  CHECK(found.kept(best(1, "m", Mode::kMax)) == Names{"high", "end"});
  CHECK(found.kept(best(1, "m", Mode::kMin)) == Names{"low", "end"});
  CHECK(found.kept(best(3, "m", Mode::kMin)) == Names{"high", "low", "one", "end"});
  // Of the checkpoints without the metric, the newer ones stay.
  CHECK(found.kept(best(5, "m", Mode::kMin)) == Names{"none", "high", "low", "one", "end"});
  CHECK(found.judge(best(5, "m", Mode::kMin))[1] ==
        Reasons{"keep_best(5, m, min): rank 5, without that metric"});
  CHECK(best_of(found.all(), {1, "m", Mode::kMin}) == 3);
  CHECK(best_of(found.all(), {1, "misspelt", Mode::kMin}) == found.all().size());
  CHECK(missing_metrics({0, 0, kNone}, best(1, "loss", Mode::kMin)) == Names{"loss"});
}

TEST_CASE("A metric that no checkpoint has ranks nothing, so all stay, whatever other rules say") {
  Found found;
  found.add("a", {0, 0, 0.5, {{"acc", 0.2}, {"nan", kNone}}});
  found.add("b", {1, 0, 0.1, {{"acc", 0.9}}});
  found.add_damaged("damaged");
  found.add("c", {2, 0, 0.3, {{"nan", kNone}}});
  for (const char* metric : {"acuracy", "nan"}) {
    CAPTURE(metric);
    KeepRules rules = best(1, metric, Mode::kMax);
    CHECK(found.kept(rules) == Names{"a", "b", "damaged", "c"});
    CHECK(found.judge(rules)[1] ==
          Reasons{std::string("keep_best(1, ") + metric +
                  ", max): no checkpoint has that metric (missing or NaN)"});
    CHECK(unranked_metrics(found.all(), rules) == Names{metric});
    rules.last = 1;
    rules.best.push_back({1, "acc", Mode::kMax});
    CHECK(found.kept(rules) == Names{"a", "b", "damaged", "c"});
    CHECK(unranked_metrics(found.all(), rules) == Names{metric});
    // This rule keeps 0 checkpoints, so its metric does not matter.
    CHECK(found.kept(best(0, metric, Mode::kMax)) == Names{"damaged", "c"});
    CHECK(unranked_metrics(found.all(), best(0, metric, Mode::kMax)).empty());
  }
  CHECK(metrics_with_values(found.all()) == std::set<std::string>{"acc", "loss"});
  CHECK(epochs(3).kept(best(1, "loss", Mode::kMin)).size() == 3);  // All NaN.
  found.add("d", {3, 0, 0, {{"acuracy", 0.1}}});
  CHECK(found.kept(best(1, "acuracy", Mode::kMax)) == Names{"damaged", "d"});
  // Without checkpoints, no metric is missing.
  CHECK(unranked_metrics({}, best(1, "acc", Mode::kMax)).empty());
  Found damaged;
  damaged.add_damaged("damaged");
  CHECK(unranked_metrics(damaged.all(), best(1, "acc", Mode::kMax)).empty());
}

TEST_CASE("Of equal values the older is the better, so that the best does not change") {
  Found found;
  for (const char* name : {"a", "b", "c", "d"}) found.add(name, {0, 0, 0, {{"acc", 1.0}}});
  CHECK(found.kept(best(2, "acc", Mode::kMax)) == Names{"a", "b", "d"});
  CHECK(found.kept(best(2, "acc", Mode::kMin)) == Names{"a", "b", "d"});
}

TEST_CASE("keep_every_n_epochs keeps the first that has reached each multiple") {
  KeepRules rules;
  rules.every_n_epochs = 3;
  CHECK(epochs(10).kept(rules) == Names{"e2", "e5", "e8", "e9"});
  // Saved after every second epoch: 2, 4, 6, 8, 10 are done, and 3 never is alone.
  Found sparse;
  for (int64_t epoch = 1; epoch < 10; epoch += 2) sparse.add("e" + std::to_string(epoch), {epoch});
  CHECK(sparse.kept(rules) == Names{"e3", "e5", "e9"});
  // A checkpoint in the middle of an epoch does not count for it.
  Found middle;
  middle.add("e2", {2, 30});
  middle.add("e3-mid", {3, 35, 0, {}, false});
  middle.add("e3", {3, 40});
  CHECK(middle.kept(rules) == Names{"e2", "e3"});
  // After a rollback the new branch counts.
  Found rollback = epochs(4);
  rollback.add("e2-v2", {2, 30});
  rollback.add("e3-v2", {3, 40});
  CHECK(rollback.kept(rules) == Names{"e2-v2", "e3-v2"});
}

TEST_CASE("keep_every_n_steps does the same for steps") {
  KeepRules rules;
  rules.every_n_steps = 25;
  CHECK(epochs(9).kept(rules) == Names{"e2", "e4", "e7", "e8"});  // 30, 50, 80, and the newest.
}

TEST_CASE("keep_every_n_steps keeps all if no checkpoint has a step") {
  KeepRules rules;
  rules.every_n_steps = 25;
  Found found;
  for (int64_t epoch = 0; epoch < 3; ++epoch) found.add("e" + std::to_string(epoch), {epoch});
  CHECK(found.kept(rules) == Names{"e0", "e1", "e2"});
  CHECK(found.judge(rules)[0] == Reasons{"keep_every_n_steps(25): no checkpoint has a step"});
  found.add("e3", {3, 20});  // Steps are counted, and none has reached 25.
  CHECK(found.kept(rules) == Names{"e3"});
}

TEST_CASE("keep_every goes by the time between saves, whatever the clock does") {
  KeepRules rules;
  rules.every = std::chrono::hours(1);
  Found found;
  const auto at = [&](const char* name, const char* time) { found.add(name).created = time; };
  at("first", "2026-01-01T00:00:00Z");
  at("59min", "2026-01-01T00:59:59Z");
  at("60min", "2026-01-01T01:00:00Z");
  at("90min", "2026-01-01T01:30:00Z");
  at("3h", "2026-01-01T03:00:00Z");
  at("ten-years-back", "2016-01-01T00:00:00Z");
  at("back+30min", "2016-01-01T00:30:00Z");
  at("back+1h", "2016-01-01T01:00:00Z");
  at("no-time", "yesterday");
  at("end", "2016-01-01T01:00:01Z");
  CHECK(found.kept_because("keep_every", rules) ==
        Names{"first", "60min", "3h", "ten-years-back", "back+1h", "no-time"});
  CHECK(found.judge(rules)[0] == Reasons{"keep_every(1 h)"});
}

TEST_CASE("What was decided once stays decided: removing what goes changes nothing for the rest") {
  KeepRules rules = last(2);
  rules.every_n_epochs = 4;
  rules.every_n_steps = 70;
  rules.every = std::chrono::minutes(7);
  rules.best = {{2, "acc", Mode::kMax}, {1, "loss", Mode::kMin}};
  Found all, kept_so_far;
  Names kept;
  for (int64_t epoch = 0; epoch < 60; ++epoch) {
    const Progress progress{epoch, epoch * 11, std::sin(epoch), {{"acc", std::cos(epoch * 1.7)}}};
    const std::string name = "e" + std::to_string(epoch);
    char created[] = "2026-01-01T00:00:00Z";
    created[14] = static_cast<char>('0' + epoch / 10);
    created[15] = static_cast<char>('0' + epoch % 10);
    all.add(name, progress).created = created;
    Found next;  // Only what the last time left, and the new one.
    for (const FoundCheckpoint& found : kept_so_far.all()) {
      if (std::find(kept.begin(), kept.end(), found.name) == kept.end()) continue;
      next.add(found.name, found.manifest.progress).created = found.manifest.created;
    }
    next.add(name, progress).created = created;
    kept_so_far = next;
    kept = kept_so_far.kept(rules);
  }
  CHECK(kept == all.kept(rules));
  CHECK(kept.size() > 10);
  CHECK(kept.size() < 40);
}

TEST_CASE("keep_if asks for each, under the name that it has now") {
  KeepRules rules;
  rules.predicates.push_back([](const Manifest& manifest) { return manifest.name == "e1"; });
  rules.predicates.push_back(
      [](const Manifest& manifest) { return manifest.progress.epoch % 4 == 3; });
  Found found = epochs(9);
  found.add("end").name = "written under another name";
  CHECK(found.kept(rules) == Names{"e1", "e3", "e7", "end"});
  rules.predicates.push_back([](const Manifest&) -> bool { throw std::runtime_error("no"); });
  CHECK_THROWS_AS(found.kept(rules), std::runtime_error);
}

TEST_CASE("Pins, what the run was resumed from, and damaged ones stay in any case") {
  Found found = epochs(6);
  found.add_damaged("damaged");
  found.add("new").parent = "e2";
  found.add_damaged("damaged too");
  found.pins = {"e1", "not there", "../e3", "damaged"};
  CHECK(found.kept(last(1)) == Names{"e1", "e2", "damaged", "new", "damaged too"});
  CHECK(found.kept_because("pinned", last(1)) == Names{"e1"});
  CHECK(found.kept_because("the run was resumed", last(1)) == Names{"e2"});
  CHECK(found.kept_because("damaged", last(1)) == Names{"damaged", "damaged too"});
  // The run has restored e4 but not saved yet.
  found.resumed_from = "e4";
  CHECK(found.kept(last(1)) == Names{"e1", "e2", "e4", "damaged", "new", "damaged too"});
}

TEST_CASE("What best means: the first keep_best, else the lowest loss") {
  KeepRules rules;
  CHECK(default_best_rule(rules).metric == "loss");
  CHECK(default_best_rule(rules).mode == Mode::kMin);
  CHECK_THROWS_AS(best_rule_for("acc", rules), Error);
  rules.best = {{2, "acc", Mode::kMax}, {1, "loss", Mode::kMax}};
  CHECK(default_best_rule(rules).metric == "acc");
  CHECK(best_rule_for("acc", rules).mode == Mode::kMax);
  CHECK(best_rule_for("loss", rules).mode == Mode::kMax);
}
