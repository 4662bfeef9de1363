// A round measures each group once. In a group, the sides take turns in random order between
// measurements of their baselines (contest.h). The baseline of what uses the disk is raw I/O of as
// many bytes; that of the rest is memcpy, if only to notice when other load disturbs.

#include "rounds.h"

#include "children.h"
#include "clock.h"
#include "median.h"
#include "memory.h"
#include "names.h"

#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

namespace bench {
namespace {

using checkpoint::CheckpointManager;
using checkpoint::CheckpointManagerOptions;
using checkpoint::Format;
using checkpoint::RestoreOptions;
using checkpoint::Verify;

CheckpointManagerOptions manager_options() {
  return CheckpointManagerOptions().name("bench").every_n_steps(1000000000);
}

// One is over so soon that any other work on the machine shows in it.
template <typename Measure>
double median_of_three(Measure measure) {
  return median_of({measure(), measure(), measure()});
}

}  // namespace

Rounds::Rounds(const Options& options)
    : options_(options),
      folder_(options.dir, "checkpoint-bench"),
      training_(options.bytes(), options.tensors),
      from_(training_.bytes()),
      to_(training_.bytes()),
      rest_(folder_.path(), options.pause),
      contest_(report_, options.seed, options.tries) {
  training_.fill_optimizer_state();
}

void Rounds::run() {
  for (int64_t round = 0; round < options_.rounds; ++round) {
    std::fprintf(stderr, "round %d of %d\n", static_cast<int>(round + 1),
                 static_cast<int>(options_.rounds));
    if (options_.wants("memory")) memory();
    if (options_.wants("saves")) saves();
    if (options_.wants("stalls")) stalls();
    if (options_.wants("restores")) restores();
    if (options_.wants("cold")) cold();
    if (options_.wants("restarts")) restarts();
    if (options_.wants("formats")) formats();
    if (options_.wants("many")) many();
  }
  if (options_.wants("stalls")) not_due();
  if (options_.wants("peaks")) peaks();
}

void Rounds::memory() {
  const auto copy_alone = [this] {
    return copy_time(to_.data(), from_.data(), training_.bytes(), 1);
  };
  const auto copy_fresh = [this] { return copy_fresh_time(from_, cores()); };
  contest_.run({copy()}, {side("memcpy warm, 1 thread", copy_alone),
                          side("memcpy fresh, all cores", copy_fresh)});
}

void Rounds::saves() {
  require_savers();
  contest_.run({raw_write()},
               {save(names::kSave, *saver_, "saver"),
                save(names::kSavePth, *saver_pth_, "saver-pth"), first_save(), torch_save()},
               &rest_);
  report_.add("checkpoint.pt",
              static_cast<double>(std::filesystem::file_size(path("saver/bench/checkpoint.pt"))),
              "B");
}

void Rounds::stalls() {
  require_asynchronous();
  const auto stall = [this] {
    const double time = seconds([&] { async_->save(training_.state(), {}); });
    async_->wait();
    return time;
  };
  contest_.run({copy()}, {side(names::kStall, stall, [this] { remove_last_asynchronous(); }),
                          child(names::kFirstStall, "first-stall", "first", true)});
  remove("first");
  contest_.run({step_alone()}, {Side{names::kStepBeside, 0, [this] { remove_last_asynchronous(); },
                                     [this] { return step_beside_save(); }}});
}

void Rounds::restores() {
  require_saved();
  require_torch_file();
  const auto load = [this] { return seconds([&] { training_.torch_load(path("torch.pt")); }); };
  contest_.run({copy(), cached_read()},
               {restore(names::kRestore, Verify::kBefore),
                restore(names::kFusedRestore, Verify::kWhileReading),
                restore(names::kUnverifiedRestore, Verify::kNever),
                side(names::kTorchLoad, load, [this] { fill_cache(path("torch.pt")); })});
}

void Rounds::cold() {
  require_saved();
  require_raw();
  contest_.run(
      {raw_read()},
      {cold_restore(names::kColdRestore, {}),
       cold_restore(names::kColdRestoreOnce, RestoreOptions().read_once(true)),
       cold_restore(names::kColdFusedRestore, RestoreOptions().verify(Verify::kWhileReading))},
      &rest_);
}

void Rounds::restarts() {
  require_saved();
  require_torch_file();
  Side ours = child(names::kRestart, "restart", "run", false);
  ours.prepare = [this] { fill_cache(path("run/bench/checkpoint.pt")); };
  Side torch = child(names::kTorchRestart, "restart-torch", "torch.pt", false);
  torch.prepare = [this] { fill_cache(path("torch.pt")); };
  contest_.run({copy()}, {std::move(ours), std::move(torch)});
}

// Reads Python's formats into live tensors, with as many bytes as the state elsewhere.
// bench/peers.py measures Python's own readers.
void Rounds::formats() {
  if (!plain_) plain_ = std::make_unique<Training>(3 * options_.bytes(), 3 * options_.tensors);
  contest_.run({copy()}, {load_file("model.pth"), load_file("model.safetensors")});
}

// Each side in a process of its own: tens of thousands of small tensors scatter the heap.
void Rounds::many() {
  const auto again = [](const char* name) { return std::string(name) + ", again"; };
  std::vector<Side> sides = {
      child(names::kManySave, "many-save-pth", "many-pth", true, again(names::kManySave)),
      child(names::kManySaveArchive, "many-save-archive", "many-archive", true,
            again(names::kManySaveArchive)),
      child(names::kManyTorchSave, "many-save-torch", "many.pt", true)};
  for (Side& side : sides) side.bytes = 0;
  contest_.run({copy()}, std::move(sides), &rest_);

  sides = {
      child(names::kManyRestore, "many-restore", "many-pth", false, again(names::kManyRestore)),
      child(names::kManyRestoreArchive, "many-restore", "many-archive", false,
            again(names::kManyRestoreArchive)),
      child(names::kManyTorchLoad, "many-load-torch", "many.pt", false)};
  for (Side& side : sides) side.bytes = 0;
  contest_.run({copy()}, std::move(sides));
}

// Measured apart: reading the memory usage takes time.
void Rounds::peaks() {
  const auto measure = [this](const std::string& name, const auto& work) {
    PeakMemory peak;
    work();
    report_.add(name, peak.extra_mib(), "MiB");
  };
  remove("run");
  async_.reset();
  saver_.reset();
  saver_pth_.reset();
  CheckpointManager manager(path("run"), manager_options());
  measure(names::kSaveMemory, [&] { manager.save(training_.state(), {}); });
  measure("extra memory, asynchronous save", [&] {
    CheckpointManager asynchronous(path("async"), manager_options().async(true));
    asynchronous.save(training_.state(), {});
    asynchronous.wait();
  });
  measure(names::kRestoreMemory, [&] { manager.restore_latest(training_.state()); });
  measure("extra memory, torch::save", [&] { training_.torch_save(path("torch.pt")); });
  measure("extra memory, torch::load", [&] { training_.torch_load(path("torch.pt")); });
}

void Rounds::not_due() {
  constexpr int kCalls = 1000000;
  CheckpointManager manager(path("never"), manager_options().every_n_epochs(1000));
  checkpoint::Progress progress;
  for (int64_t round = 0; round < options_.rounds; ++round) {
    const double time = seconds([&] {
      for (int i = 0; i < kCalls; ++i) {
        ++progress.step;
        manager.save_if_due(training_.state(), progress);
      }
    });
    report_.add(names::kNotDue, time / kCalls * 1e9, "ns");
  }
}

Side Rounds::side(const std::string& name, std::function<double()> measure,
                  std::function<void()> prepare) const {
  return {name, bytes(), std::move(prepare), std::move(measure)};
}

Side Rounds::copy() {
  return side(names::kCopy, [this] {
    return median_of_three(
        [this] { return copy_time(to_.data(), from_.data(), training_.bytes(), cores()); });
  });
}

Side Rounds::cached_read() {
  const auto file = [this] { return path("run/bench/checkpoint.pt"); };
  return side(
      names::kCachedRead,
      [this, file] {
        return median_of_three([&] { return cached_read_time(file(), to_, cores()); });
      },
      [file] { fill_cache(file()); });
}

Side Rounds::raw_write() {
  return side(
      names::kRawWrite, [this] { return raw_write_time(path("raw"), from_); },
      [this] { remove("raw"); });
}

Side Rounds::raw_read() {
  return side(names::kRawRead, [this] { return raw_read_time(path("raw"), to_, cores()); });
}

Side Rounds::step_alone() {
  const auto step = [this] { return seconds([&] { training_.step(); }); };
  return {names::kStepAlone, 0, {}, step};
}

Side Rounds::save(const std::string& name, CheckpointManager& manager, const std::string& folder) {
  return side(
      name, [this, &manager] { return seconds([&] { manager.save(training_.state(), {}); }); },
      [this, folder] { remove(folder + "/bench"); });
}

Side Rounds::first_save() {
  return side(
      names::kFirstSave,
      [this] {
        CheckpointManager manager(path("run"), manager_options());
        return seconds([&] { manager.save(training_.state(), {}); });
      },
      [this] { remove("run"); });
}

Side Rounds::torch_save() {
  return side(
      names::kTorchSave,
      [this] {
        return seconds([&] {
          training_.torch_save(path("torch.pt"));
          sync_file(path("torch.pt"));
        });
      },
      [this] { remove("torch.pt"); });
}

Side Rounds::restore(const std::string& name, Verify verify) {
  return side(
      name, [this, verify] { return restore_time(RestoreOptions().verify(verify)); },
      [this] { fill_cache(path("run/bench/checkpoint.pt")); });
}

Side Rounds::cold_restore(const std::string& name, const RestoreOptions& options) {
  return side(
      name, [this, options] { return restore_time(options); },
      [this] {
        for (const char* file : {"checkpoint.pt", "tensors.json", "manifest.json"}) {
          drop_cache(path("run/bench/") + file);
        }
      });
}

Side Rounds::load_file(const std::string& file) {
  Side loading = side(
      "into a model: " + file,
      [this, file] {
        return seconds([&] { checkpoint::load_state_dict(plain_->model(), path(file)); });
      },
      [this, file] {
        if (!std::filesystem::exists(path(file))) {
          checkpoint::save(checkpoint::state_dict(plain_->model()), path(file));
        }
        fill_cache(path(file));
      });
  loading.bytes = static_cast<double>(plain_->model_bytes());
  return loading;
}

// `to_write`: `input` is what the child writes, and is removed before. `again`: the name of what
// the child measures after the first time.
Side Rounds::child(const std::string& name, const std::string& child, const std::string& input,
                   bool to_write, const std::string& again) {
  const auto measure = [this, child, input, again] {
    const std::vector<double> times = measure_in_child(options_, child, path(input));
    for (size_t i = 1; i < times.size(); ++i) report_.add(again, times[i]);
    return times.front();
  };
  const auto prepare = [this, input, to_write] {
    if (to_write) remove(input);
  };
  return side(name, measure, prepare);
}

void Rounds::require_raw() {
  if (!std::filesystem::exists(path("raw"))) raw_write_time(path("raw"), from_);
}

void Rounds::require_saved() {
  if (std::filesystem::exists(path("run/bench"))) return;
  CheckpointManager(path("run"), manager_options()).save(training_.state(), {});
}

void Rounds::require_torch_file() {
  if (std::filesystem::exists(path("torch.pt"))) return;
  training_.torch_save(path("torch.pt"));
  sync_file(path("torch.pt"));
}

// The measured saves come after the first one, here and below.
void Rounds::require_savers() {
  if (saver_) return;
  const auto make = [this](const std::string& folder, Format format) {
    auto manager =
        std::make_unique<CheckpointManager>(path(folder), manager_options().format(format));
    manager->save(training_.state(), {});
    return manager;
  };
  saver_ = make("saver", Format::kArchive);
  saver_pth_ = make("saver-pth", Format::kPth);
}

void Rounds::require_asynchronous() {
  if (async_) return;
  async_ = std::make_unique<CheckpointManager>(path("async"), manager_options().async(true));
  async_->save(training_.state(), {});
  async_->wait();
}

void Rounds::remove(const std::string& name) { std::filesystem::remove_all(path(name)); }

void Rounds::remove_last_asynchronous() { remove("async/" + async_->last_save().name()); }

double Rounds::restore_time(const RestoreOptions& options) {
  CheckpointManager manager(path("run"), manager_options());
  return seconds([&] { manager.restore(training_.state(), "bench", options); });
}

// Trains until an asynchronous save is durable. Returns the mean of the steps.
double Rounds::step_beside_save() {
  double trained = 0;
  int steps = 0;
  const double stall = seconds([&] { async_->save(training_.state(), {}); });
  const checkpoint::SaveHandle save = async_->last_save();
  do {
    trained += seconds([&] { training_.step(); });
    ++steps;
  } while (!save.done());
  save.wait();
  report_.add("asynchronous save, until durable", stall + trained);
  return trained / steps;
}

}  // namespace bench
