#include "manager/saver.h"

#include "base/log.h"
#include "base/meter.h"
#include "base/stopwatch.h"
#include "manager/write_checkpoint.h"
#include "state/snapshot/capture.h"

#include <exception>
#include <map>
#include <new>
#include <utility>

#include <unistd.h>

namespace checkpoint::manager {
namespace {

void warn_of(const std::vector<std::string>& unsaved) {
  if (unsaved.empty()) return;
  std::string text = "this checkpoint and the next ones do not hold everything that is trained:";
  for (const std::string& line : unsaved) text += "\n  " + line;
  base::log_warning(text);
}

}  // namespace

Saver::~Saver() {
  background_.wait();
  if (process_ != ::getpid()) snapshot_.forget_threads();  // A forked child does not have them.
}

void Saver::wait_and_rethrow() {
  background_.wait();
  background_.throw_failure();
}

std::string Saver::save(const State& state, const Progress& progress,
                        std::shared_ptr<group::Meeting> meeting,
                        const std::function<Manifest()>& manifest, AfterCommit after_commit) {
  base::Stopwatch watch;
  std::map<std::string, double> seconds;
  const auto share = std::make_shared<state::Share>(capture_share(state, progress, *meeting));
  seconds["capture"] = watch.lap();
  const bool in_background = options_.async() && take_snapshot(share->captured);
  if (in_background) {
    seconds["snapshot"] = watch.lap();
  } else {
    snapshot_.take_from_devices(share->captured);
  }
  Manifest begun = manifest();
  begun.seconds = std::move(seconds);
  const auto result = std::make_shared<internal::SaveResult>(begun.name);

  const auto write = [this, share, begun, meeting, after_commit = std::move(after_commit)] {
    snapshot_.fetch(share->captured);
    LastCheckpoint* const last = options_.reuse_unchanged() ? &last_checkpoint_ : nullptr;
    after_commit(write_checkpoint(directory_, *meeting, *share, begun,
                                  {options_.format(), options_.on_transfer(), pool_, plan_, last}));
  };
  if (in_background) {
    background_.start(result, [meeting, write] { meeting->run(write); });
  } else {
    write();
    result->end(nullptr);
    background_.note(result);
  }
  return begun.name;
}

state::Share Saver::capture_share(const State& state, const Progress& progress,
                                  const group::Meeting& meeting) {
  state::Unsaved unsaved;
  state::Capture captured =
      state::capture(state, progress, state::OnDevice::kStay, is_first_ ? &unsaved : nullptr);
  if (is_first_) warn_of(unsaved.lines());
  is_first_ = false;
  if (options_.format() == Format::kPth) state::use_python_forms(captured);
  return state::take_share(
      std::move(captured), progress, meeting.group().rank(), meeting.group().size(),
      options_.replicas_must_agree() ? state::Digests::kYes : state::Digests::kNo);
}

// Returns false if the save has to be synchronous.
bool Saver::take_snapshot(state::Capture& captured) {
  const uint64_t limit = options_.snapshot_limit();
  if (limit > 0 && captured.tensor_bytes > limit) {
    base::log_warning("the state has " + std::to_string(captured.tensor_bytes) +
                      " bytes, more than the snapshot limit of " + std::to_string(limit) +
                      ": it is saved synchronously");
    return false;
  }
  base::Meter meter(options_.on_transfer(), Phase::kSnapshot, captured.tensor_bytes);
  try {
    snapshot_.take(captured);
  } catch (const std::bad_alloc&) {
    base::log_warning("not enough memory for a snapshot of " +
                      std::to_string(captured.tensor_bytes) +
                      " bytes: the state is saved synchronously");
    return false;
  }
  meter.add(captured.tensor_bytes);
  return true;
}

void Saver::prepare_for(const State& state, size_t ranks) {
  is_prepared_ = true;
  if (!options_.async() || background_.busy()) return;
  const uint64_t bytes = state::expected_bytes(state) / ranks;
  const uint64_t limit = options_.snapshot_limit();
  if (bytes > 0 && (limit == 0 || bytes <= limit)) snapshot_.prefault(bytes);
}

void Saver::release_memory() {
  background_.wait();
  snapshot_.release();
  pool_.release();
  plan_ = format::ArchivePlan();
}

}  // namespace checkpoint::manager
