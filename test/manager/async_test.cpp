#include "support/catch.h"
#include "support/error_of.h"
#include "support/file_size_limit.h"
#include "support/gated_file_system.h"
#include "support/models.h"
#include "support/sanitized.h"
#include "support/temporary_directory.h"

#include "manager/manager_access.h"

#include <checkpoint/checkpoint.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

using namespace checkpoint;
using test::Net;

namespace {

const auto kAsync = CheckpointManagerOptions().name("e{epoch}").async(true);

// Objects of every kind that shares memory with a snapshot, or might.
struct Everything {
  explicit Everything(int64_t numel = 1000)
      : model(64),
        optimizer(model->parameters(), torch::optim::AdamOptions(0.01)),
        large(torch::randn({numel})),
        view(large.narrow(0, 10, 50)),
        transposed(torch::randn({5, 7}).t()),
        tree(Dict()) {
    tree.dict().insert("tensor", torch::arange(12));
    tree.dict().insert("empty", torch::empty({0, 3}));
    tree.dict().insert("tied", large);
    test::train(model, optimizer, 2);
  }
  State state() {
    State result;
    result.add("model", model).add("optimizer", optimizer).add("large", large).add("view", view);
    result.add("transposed", transposed).add("tree", tree).add("number", number).add("text", text);
    return result;
  }
  std::vector<torch::Tensor> tensors() {
    std::vector<torch::Tensor> all = {large, view, transposed,
                                      tree.dict().at("tensor").to_tensor()};
    for (const torch::Tensor& tensor : model->parameters()) all.push_back(tensor);
    for (const torch::Tensor& tensor : model->buffers()) all.push_back(tensor);
    for (auto& entry : optimizer.state()) {
      auto& adam = static_cast<torch::optim::AdamParamState&>(*entry.second);
      all.push_back(adam.exp_avg());
      all.push_back(adam.exp_avg_sq());
    }
    return all;
  }
  std::vector<torch::Tensor> copies() {
    std::vector<torch::Tensor> all;
    for (const torch::Tensor& tensor : tensors()) all.push_back(tensor.detach().clone());
    return all;
  }
  void change() {
    const torch::NoGradGuard no_grad;
    for (torch::Tensor& tensor : tensors()) tensor.fill_(-77);
    number = -1;
    text = "changed";
    torch::rand({3});
  }

  Net model;
  torch::optim::Adam optimizer;
  torch::Tensor large, view, transposed;
  Value tree;
  int64_t number = 5;
  std::string text = "as it was";
};

CheckpointManager open(test::GatedFileSystem& fs, const test::TemporaryDirectory& root,
                       const CheckpointManagerOptions& options = kAsync) {
  return internal::ManagerAccess::open(fs, root.path(), options);
}

}  // namespace

TEST_CASE("Everything may change the moment that an asynchronous save returns") {
  const test::TemporaryDirectory root;
  test::GatedFileSystem gated;
  CheckpointManager manager = open(gated, root);
  Everything live(3000000);
  State state = live.state();
  // The first save's memory is new, the later ones' is used again.
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const std::vector<torch::Tensor> expected = live.copies();
    live.number = epoch;
    gated.close_gate();  // Nothing is written before everything has changed.
    CHECK(manager.save(state, {epoch}) == "e" + std::to_string(epoch));
    live.change();
    gated.open_gate();
    manager.wait();
    const torch::Tensor next_random = torch::rand({3});

    manager.restore(state, "e" + std::to_string(epoch));
    const std::vector<torch::Tensor> found = live.tensors();
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      INFO("tensor " << i);
      CHECK(test::same_bits(found[i], expected[i]));
    }
    CHECK(live.number == epoch);
    CHECK(live.text == "as it was");
    // Generators too: the same draws come again. (change() drew three.)
    torch::rand({3});
    CHECK(test::same_bits(torch::rand({3}), next_random));
    test::train(live.model, live.optimizer, 1);
  }
}

TEST_CASE("What an asynchronous save throws is told once by the manager, always by the handle") {
  const test::TemporaryDirectory root;
  test::GatedFileSystem gated;
  Everything live;
  State state = live.state();
  CheckpointManager manager = open(gated, root);
  manager.save(state, {0});
  manager.wait();
  gated.close_gate();
  manager.save(state, {1});
  const SaveHandle handle = manager.last_save();
  CHECK(handle.name() == "e1");
  CHECK_FALSE(handle.done());
  CHECK_FALSE(handle.failed());
  gated.open_gate(EIO);

  SECTION("by wait") {
    CHECK(contains(error_of([&] { manager.wait(); }), "io: "));
    manager.wait();
  }
  SECTION("by the next save, which does not begin") {
    CHECK(contains(error_of([&] { manager.save(state, {2}); }), "io: "));
    CHECK(manager.last_save().name() == "e1");
  }
  SECTION("by save_if_due, though nothing is due") {
    while (!handle.done()) std::this_thread::yield();
    CheckpointManager other = std::move(manager);
    CHECK(contains(error_of([&] { other.save_if_due(state, {1, 0, 0, {}, false}); }), "io: "));
    CHECK_FALSE(other.save_if_due(state, {1, 0, 0, {}, false}));
    manager = std::move(other);
  }
  SECTION("by the handle, and then not by the manager") {
    CHECK(contains(error_of([&] { handle.wait(); }), "io: "));
    manager.wait();
  }
  CHECK(handle.done());
  CHECK(handle.failed());
  CHECK(contains(error_of([&] { handle.wait(); }), "io: "));
  gated.open_gate();
  CHECK(manager.list().size() == 1);
  CHECK(manager.save(state, {2}) == "e2");
  manager.wait();
  manager.verify("e2");
  CHECK(test::names_in(root.path()) ==
        std::vector<std::string>{".lock", "e0", "e2", "history.jsonl", "latest"});
}

TEST_CASE("What a signal asks for is saved before an earlier failure is told") {
  const test::TemporaryDirectory root;
  test::GatedFileSystem gated;
  Everything live;
  State state = live.state();
  CheckpointManager manager =
      open(gated, root, CheckpointManagerOptions(kAsync).stop_on_signal({SIGUSR2}));
  gated.close_gate();
  manager.save(state, {1});
  gated.open_gate(EIO);
  while (!manager.last_save().done()) std::this_thread::yield();
  gated.open_gate();
  ::raise(SIGUSR2);
  CHECK(contains(error_of([&] { manager.save_if_due(state, {2}); }), "io: "));
  CHECK(manager.should_stop());
  manager.verify("e2");
  manager.wait();
}

TEST_CASE("The disk is full while training goes on") {
  const test::TemporaryDirectory root;
  Everything live(300000);
  State state = live.state();
  CheckpointManager manager(root.path(), CheckpointManagerOptions(kAsync).keep_last(1));
  manager.save(state, {0});
  manager.wait();
  {
    const test::FileSizeLimit limit(100000);
    manager.save(state, {1});
    test::train(live.model, live.optimizer, 3);
    CHECK(contains(error_of([&] { manager.wait(); }), "no_space: "));
  }
  CHECK(test::names_in(root.path()) ==
        std::vector<std::string>{".lock", "e0", "history.jsonl", "latest"});
  manager.verify("e0");
  CHECK(manager.save(state, {1}) == "e1");
  manager.wait();
  CHECK(test::names_in(root.path()) ==
        std::vector<std::string>{".lock", "e1", "history.jsonl", "latest"});
}

TEST_CASE("While a save is in flight, the next one waits, or save_if_due skips it") {
  const test::TemporaryDirectory root;
  test::GatedFileSystem gated;
  Everything live;
  State state = live.state();
  CheckpointManagerOptions options = CheckpointManagerOptions(kAsync).every_n_steps(1);

  SECTION("waits") {
    CheckpointManager manager = open(gated, root, options);
    gated.close_gate();
    manager.save(state, {0, 1});
    std::thread opener([&] {
      gated.wait_until_blocked();
      gated.open_gate();
    });
    CHECK(manager.save_if_due(state, {1, 2}) == std::optional<std::string>("e1"));
    opener.join();
    manager.wait();
    manager.verify("e0");
    manager.verify("e1");
  }
  SECTION("skips, and is due again") {
    CheckpointManager manager = open(gated, root, options.on_busy(OnBusy::kSkip));
    gated.close_gate();
    CHECK(manager.save_if_due(state, {0, 1}));
    CHECK_FALSE(manager.save_if_due(state, {1, 2}));
    gated.open_gate();
    manager.wait();
    CHECK(manager.save_if_due(state, {1, 2}) == std::optional<std::string>("e1"));
  }
}

TEST_CASE("The destructor waits, and the next manager finds the checkpoint") {
  const test::TemporaryDirectory root;
  Everything live(2000000);
  State state = live.state();
  SaveHandle handle;
  {
    CheckpointManager manager(root.path(), kAsync);
    manager.save(state, {0});
    handle = manager.last_save();
  }
  CHECK(handle.done());
  handle.wait();
  CheckpointManager(root.path(), kAsync).verify("e0");
}

TEST_CASE("restore_latest finds the save that is still in flight") {
  const test::TemporaryDirectory root;
  Everything live(2000000);
  State state = live.state();
  CheckpointManager manager(root.path(), kAsync);
  manager.save(state, {0});
  live.change();
  REQUIRE(manager.restore_latest(state));
  CHECK(live.number == 5);
}

TEST_CASE("A forked child can end while a save is in flight") {
  const test::TemporaryDirectory root;
  test::GatedFileSystem gated;
  Everything live;
  State state = live.state();
  auto manager = std::make_unique<CheckpointManager>(open(gated, root));
  manager->restore_latest(state);
  gated.close_gate();
  manager->save(state, {0});
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);  // So that a child that hangs is seen.
    bool refused = false;
    try {
      manager->last_save().wait();
    } catch (const Error&) {
      refused = true;
    }
    manager.reset();
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  gated.open_gate();
  manager->wait();
  manager->verify("e0");
}

TEST_CASE("A State beyond the snapshot limit is saved synchronously") {
  const test::TemporaryDirectory root;
  Everything live(100000);
  State state = live.state();
  CheckpointManager manager(root.path(), CheckpointManagerOptions(kAsync).snapshot_limit(1000));
  manager.restore_latest(state);
  manager.save(state, {0});
  CHECK(manager.last_save().done());
  manager.last_save().wait();
  manager.verify("e0");
}

TEST_CASE("Memory that was given back is taken anew") {
  const test::TemporaryDirectory root;
  Everything live(100000);
  State state = live.state();
  CheckpointManager manager(root.path(), kAsync);
  manager.release_memory();
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    manager.save(state, {epoch});
    manager.release_memory();
    manager.verify("e" + std::to_string(epoch));
  }
}

TEST_CASE("Memory that was given back is the system's again") {
  if (test::kSanitized) return;  // A sanitizer has memory of its own for each page.
  const auto resident = [] {
    std::ifstream status("/proc/self/status");
    std::string word;
    int64_t kib = 0;
    while (status >> word && word != "RssAnon:") {
    }
    status >> kib;
    return kib * 1024;
  };
  const test::TemporaryDirectory root;
  torch::Tensor tensor = torch::ones({10, 1024, 1024});  // 40 MiB
  State state;
  state.add("tensor", tensor);
  const bool async = GENERATE(false, true);
  CheckpointManager manager(root.path(), CheckpointManagerOptions().async(async));
  manager.save(state, {0});
  manager.wait();
  const int64_t before = resident();
  manager.release_memory();
  // Five chunks that were written from, and the snapshot.
  CHECK(before - resident() > (async ? 72 : 32) * (int64_t{1} << 20));
}

TEST_CASE("Handles of no save, and of a synchronous one") {
  const SaveHandle none;
  CHECK(none.done());
  CHECK_FALSE(none.failed());
  CHECK(none.name().empty());
  none.wait();

  const test::TemporaryDirectory root;
  Everything live;
  State state = live.state();
  CheckpointManager manager(root.path(), CheckpointManagerOptions().name("e{epoch}"));
  CHECK(manager.last_save().name().empty());
  manager.save(state, {0});
  CHECK(manager.last_save().name() == "e0");
  CHECK(manager.last_save().done());
  manager.wait();
}

TEST_CASE("Saves and restores tell how far they are, and the manifest says how long it took") {
  const test::TemporaryDirectory root;
  Everything live(5000000);
  State state = live.state();
  std::map<Phase, Transfer> last;
  std::map<Phase, int> calls;
  const auto told = [&](const Transfer& transfer) {
    CHECK(transfer.bytes_done <= transfer.bytes_total);
    CHECK(transfer.bytes_done >= last[transfer.phase].bytes_done);
    last[transfer.phase] = transfer;
    ++calls[transfer.phase];
  };
  CheckpointManager manager(root.path(), CheckpointManagerOptions(kAsync).on_transfer(told));
  manager.save(state, {0});
  manager.wait();
  CHECK(last[Phase::kSnapshot].bytes_done == last[Phase::kSnapshot].bytes_total);
  CHECK(last[Phase::kWrite].bytes_done == last[Phase::kWrite].bytes_total);
  CHECK(calls[Phase::kWrite] > 1);
  const auto restored = manager.restore_latest(state, RestoreOptions().on_transfer(told));
  REQUIRE(restored);
  CHECK(last[Phase::kVerify].bytes_done == restored->manifest.total_bytes());
  CHECK(last[Phase::kRead].bytes_done == last[Phase::kRead].bytes_total);
  for (const char* step : {"capture", "snapshot", "archive", "table"}) {
    CHECK(restored->manifest.seconds.count(step) == 1);
  }

  SECTION("and what that function throws ends them") {
    CheckpointManager failing(
        root / "other", CheckpointManagerOptions(kAsync).on_transfer([](const Transfer& transfer) {
          if (transfer.phase == Phase::kWrite) {
            throw std::runtime_error("enough");
          }
        }));
    failing.save(state, {0});
    CHECK_THROWS_AS(failing.wait(), std::runtime_error);
    CHECK(test::names_in(root / "other") == std::vector<std::string>{".lock"});
  }
}
