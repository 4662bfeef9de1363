#pragma once

#include "contest.h"
#include "folder.h"
#include "options.h"
#include "raw.h"
#include "report.h"
#include "training.h"

#include <checkpoint/checkpoint.h>

#include <memory>
#include <string>

namespace bench {

/// Runs all rounds of measurements in one process, and keeps what they share.
class Rounds {
 public:
  explicit Rounds(const Options& options);
  void run();

  Report& report() { return report_; }
  /// The bytes of the state.
  double bytes() const { return static_cast<double>(training_.bytes()); }
  /// The seconds of rest before each use of the disk, as they are at the end.
  double pause() const { return rest_.seconds(); }

 private:
  // The groups of a round.
  void memory();
  void saves();
  void stalls();
  void steps();
  void restores();
  void cold();
  void restarts();
  void formats();
  void many();
  // Once, at the end.
  void peaks();
  void not_due();

  // Sides and baselines.
  Side side(const std::string& name, std::function<double()> measure,
            std::function<void()> prepare = {}) const;
  Side copy();
  Side cached_read();
  Side raw_write();
  Side raw_read();
  Side step_alone();
  Side save(const std::string& name, checkpoint::CheckpointManager& manager,
            const std::string& folder);
  Side first_save();
  Side torch_save();
  Side restore(const std::string& name, checkpoint::Verify verify);
  Side cold_restore(const std::string& name, const checkpoint::RestoreOptions& options);
  Side load_file(const std::string& file);
  Side child(const std::string& name, const std::string& child, const std::string& input,
             bool to_write, const std::string& again = "");

  // What sides need to be there.
  void require_raw();
  void require_saved();
  void require_torch_file();
  void require_savers();
  void require_asynchronous();

  std::string path(const std::string& name) const { return folder_.path() + '/' + name; }
  void remove(const std::string& name);
  double restore_time(const checkpoint::RestoreOptions& options);
  double step_beside_save();
  void remove_last_asynchronous();

  const Options options_;
  const Folder folder_;
  Training training_;
  WarmMemory from_;
  WarmMemory to_;
  std::unique_ptr<checkpoint::CheckpointManager> saver_;
  std::unique_ptr<checkpoint::CheckpointManager> saver_pth_;
  std::unique_ptr<checkpoint::CheckpointManager> async_;
  std::unique_ptr<Training> plain_;
  Report report_;
  Rest rest_;
  Contest contest_;
};

}  // namespace bench
