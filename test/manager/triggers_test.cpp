#include "support/catch.h"

#include "manager/triggers.h"
#include "support/temporary_directory.h"

#include <checkpoint/checkpoint.h>

#include <vector>

using namespace checkpoint;
using checkpoint::manager::Triggers;

namespace {

Progress at_epoch(int64_t epoch, bool done = true) { return {epoch, 0, 0, {}, done}; }
Progress at_step(int64_t step) { return {0, step, 0, {}, false}; }

}  // namespace

TEST_CASE("Every n epochs, when the epoch is done, once") {
  Triggers triggers(CheckpointManagerOptions().every_n_epochs(3));
  std::vector<int64_t> due;
  for (int64_t epoch = 0; epoch < 9; ++epoch) {
    CHECK_FALSE(triggers.due(at_epoch(epoch, false)));
    if (!triggers.due(at_epoch(epoch))) continue;
    due.push_back(epoch);
    triggers.note(at_epoch(epoch));
    CHECK_FALSE(triggers.due(at_epoch(epoch)));
  }
  CHECK(due == std::vector<int64_t>{2, 5, 8});
}

TEST_CASE("Every n steps, also when steps are counted in leaps") {
  Triggers triggers(CheckpointManagerOptions().every_n_steps(10));
  std::vector<int64_t> due;
  for (int64_t step = 0; step < 60; step += 7) {
    if (!triggers.due(at_step(step))) continue;
    due.push_back(step);
    triggers.note(at_step(step));
  }
  CHECK(due == std::vector<int64_t>{14, 21, 35, 42, 56});
}

TEST_CASE("Steps that start again in each epoch are saved all the same") {
  Triggers triggers(CheckpointManagerOptions().every_n_steps(10));
  int saves = 0;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    for (int64_t step = 1; step <= 25; ++step) {
      const Progress progress{epoch, step, 0, {}, false};
      if (!triggers.due(progress)) continue;
      triggers.note(progress);
      ++saves;
    }
  }
  CHECK(saves == 6);
}

TEST_CASE("Nothing is due without a rule, nor again after a restore") {
  Triggers never{CheckpointManagerOptions()};
  CHECK_FALSE(never.due(at_epoch(4)));
  Triggers both(CheckpointManagerOptions().every_n_epochs(1).every_n_steps(5));
  both.note({4, 25, 0, {}, true});
  CHECK_FALSE(both.due({4, 25, 0, {}, true}));
  CHECK(both.due({5, 25, 0, {}, true}));
  CHECK(both.due({5, 30, 0, {}, false}));
}

TEST_CASE("Every so many seconds, by a clock of its own, from the last save or restore") {
  CheckpointManagerOptions::Seconds now(1000);
  const auto options = CheckpointManagerOptions().every(std::chrono::minutes(10));
  Triggers triggers(options, [&] { return now; });
  CHECK_FALSE(triggers.due(at_step(1)));
  now += std::chrono::seconds(599);
  CHECK_FALSE(triggers.due(at_step(2)));
  now += std::chrono::seconds(1);
  CHECK(triggers.due(at_step(3)));
  CHECK(triggers.due(at_step(4)));
  triggers.note(at_step(4));
  CHECK_FALSE(triggers.due(at_step(5)));
  now += std::chrono::minutes(10);
  CHECK(triggers.due(at_step(6)));
}

TEST_CASE("When a function says so; each is asked once, whatever else is due") {
  int asked = 0;
  Triggers triggers(CheckpointManagerOptions()
                        .every_n_epochs(2)
                        .when([](const Progress& progress) { return progress.loss < 0.5; })
                        .when([&](const Progress&) { return ++asked == 4; }));
  CHECK_FALSE(triggers.due({0, 0, 1.0}));
  CHECK(triggers.due({0, 0, 0.1}));
  CHECK(triggers.due({1, 0, 1.0}));
  CHECK(triggers.due({2, 0, 1.0}));
  CHECK_FALSE(triggers.due({2, 0, 1.0}));
  CHECK(asked == 5);
}

TEST_CASE("As often as saves take a share of the time") {
  CheckpointManagerOptions::Seconds now(1000);
  Triggers triggers(CheckpointManagerOptions().max_overhead(0.1, std::chrono::seconds(2),
                                                            std::chrono::seconds(100)),
                    [&] { return now; });
  int64_t step = 0;
  // Steps of one second, until a save is due; and how long that took.
  const auto train = [&](double each, bool busy = false) {
    int64_t steps = 0;
    do {
      now += CheckpointManagerOptions::Seconds(each);
      ++steps;
    } while (!triggers.due(at_step(++step), busy));
    return static_cast<double>(steps) * each;
  };
  const auto save = [&](double stall, bool busy = false) {
    const auto begin = triggers.now();
    now += CheckpointManagerOptions::Seconds(stall);
    triggers.note_save(at_step(step), begin, busy);
  };
  CHECK(train(1) == 2);  // Nothing is known: the lower limit.
  save(0.5);
  CHECK(train(1) == 5);
  save(3);
  CHECK(train(1) == 30);
  save(0.01);
  CHECK(train(1) == 2);
  save(50);
  CHECK(train(1) == 100);

  // While the save runs, each step takes half a second longer. That counts as well.
  save(0.1, true);
  for (int i = 0; i < 2; ++i) {
    now += CheckpointManagerOptions::Seconds(1.5);
    CHECK_FALSE(triggers.due(at_step(++step), true));
  }
  // The cost is 0.1 + 2 * 0.5, and 3 seconds have gone by.
  CHECK(train(1) == 8);
}

TEST_CASE("No overhead is asked about, and none is measured") {
  CheckpointManagerOptions::Seconds now(1000);
  Triggers triggers(CheckpointManagerOptions(), [&] { return now; });
  now += std::chrono::hours(10);
  CHECK_FALSE(triggers.due(at_step(1)));
}

TEST_CASE("is_due says what save_if_due will do, and asks a function once") {
  const test::TemporaryDirectory root;
  double value = 0;
  State state;
  state.add("value", value);
  int asked = 0;
  CheckpointManager manager(root.path(), CheckpointManagerOptions()
                                             .name("e{epoch}")
                                             .every_n_epochs(3)
                                             .when([&](const Progress& progress) {
                                               ++asked;
                                               return progress.epoch == 3;
                                             }));
  std::vector<int64_t> saved;
  for (int64_t epoch = 0; epoch < 6; ++epoch) {
    Progress progress{epoch};
    const bool due = manager.is_due(progress);
    CHECK(manager.is_due(progress) == due);
    if (due) progress.metrics["accuracy"] = 0.5;
    CHECK(manager.save_if_due(state, progress).has_value() == due);
    if (due) saved.push_back(epoch);
  }
  CHECK(saved == std::vector<int64_t>{2, 3, 5});
  CHECK(asked == 6);
  // Without the question, the function is asked by save_if_due.
  CHECK_FALSE(manager.save_if_due(state, {6}));
  CHECK(asked == 7);
  CHECK(manager.list().front().manifest.progress.metrics.count("accuracy") == 1);
  CHECK(manager.options().every_n_epochs() == 3);
}
