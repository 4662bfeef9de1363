#include "support/catch.h"
#include "support/error_of.h"
#include "support/number.h"
#include "support/temporary_directory.h"

#include "manager/doubts.h"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>

using namespace checkpoint;
using checkpoint::manager::Doubts;

namespace {

// Returns the warning about a loop of `epochs`, each of `steps` calls. `count` makes each call's
// progress.
template <typename Count>
std::string said(const CheckpointManagerOptions& options, int64_t epochs, int64_t steps,
                 const Count& count) {
  Doubts doubts(options);
  std::string text;
  for (int64_t epoch = 0; epoch < epochs; ++epoch) {
    for (int64_t step = 0; step < steps; ++step) {
      const char* const doubt = doubts.note(count(epoch, step));
      if (doubt != nullptr) text += std::string(doubt) + "\n";
    }
  }
  return text;
}

Progress by_epochs(int64_t epoch, int64_t) { return {epoch}; }

}  // namespace

TEST_CASE("A manager without any trigger says so at the first call, once") {
  const std::string text = said(CheckpointManagerOptions().keep_last(3), 1000, 1, by_epochs);
  CHECK(contains(text, "no trigger is set. Set every_n_epochs(n)"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  for (const CheckpointManagerOptions& options :
       {CheckpointManagerOptions().every(std::chrono::minutes(10)),
        CheckpointManagerOptions().max_overhead(0.03), CheckpointManagerOptions().every_n_epochs(1),
        CheckpointManagerOptions().when([](const Progress&) { return false; }),
        CheckpointManagerOptions().save_on_signal({10})}) {
    CHECK(said(options, 1000, 1, by_epochs).empty());
  }
}

TEST_CASE("Steps that never move, or that start again in each epoch, are warned of once") {
  const auto options = CheckpointManagerOptions().every_n_steps(50);
  CHECK(contains(said(options, 3, 1, by_epochs), "Progress::step does not change"));
  CHECK(said(options, 2, 1, by_epochs).empty());
  const auto never = [](int64_t, int64_t) { return Progress(); };
  CHECK(contains(said(options, 1, 200, never), "Progress::step does not change"));
  const std::string again = said(options, 5, 40, [](int64_t epoch, int64_t step) {
    return Progress{epoch, step};
  });
  CHECK(contains(again, "Progress::step went back"));
  CHECK(std::count(again.begin(), again.end(), '\n') == 1);
  // As it should be, with gradients that are gathered over 16 batches.
  CHECK(said(options, 5, 400, [](int64_t epoch, int64_t step) {
          return Progress{epoch, (epoch * 400 + step) / 16, 0, {}, false};
        }).empty());
}

TEST_CASE("A restore does not count as a step back") {
  Doubts doubts(CheckpointManagerOptions().every_n_steps(5));
  CHECK(doubts.note({3, 30}) == nullptr);
  CHECK(doubts.note({4, 40}) == nullptr);
  doubts.note_restored();
  CHECK(doubts.note({1, 11}) == nullptr);
  CHECK(doubts.note({1, 12}) == nullptr);
  CHECK(doubts.note({2, 1}) != nullptr);
}

TEST_CASE("Epochs that are never done, or never move, are warned of once") {
  const auto options = CheckpointManagerOptions().every_n_epochs(3);
  const auto open = [](int64_t epoch, int64_t step) {
    return Progress{epoch, epoch * 10 + step, 0, {}, false};
  };
  CHECK(contains(said(options, 10, 10, open), "no epoch is done"));
  CHECK(said(options, 3, 10, open).empty());
  const auto still = [](int64_t, int64_t step) { return Progress{0, step}; };
  CHECK(contains(said(options, 1, 1000, still), "the same Progress::epoch, with epoch_done true"));
  const auto right = [](int64_t epoch, int64_t step) {
    return Progress{epoch, epoch * 500 + step, 0, {}, step == 499};
  };
  CHECK(said(options, 20, 500, right).empty());
}

TEST_CASE("A manager that can never save warns in the log") {
  const test::TemporaryDirectory root;
  std::ostringstream text;
  spdlog::register_logger(std::make_shared<spdlog::logger>(
      "torch_checkpoint", std::make_shared<spdlog::sinks::ostream_sink_mt>(text)));
  test::Number number;
  CheckpointManager manager(root / "run");
  for (int64_t epoch = 0; epoch < 10; ++epoch) manager.save_if_due(number.state, {epoch});
  spdlog::drop("torch_checkpoint");
  const std::string log = text.str();
  CHECK(
      contains(log, "[warning] checkpoints in '" + (root / "run") + "': save_if_due never saves"));
  CHECK(log.find("never saves") == log.rfind("never saves"));
}
