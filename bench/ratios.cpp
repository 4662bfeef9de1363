#include "ratios.h"

#include "names.h"

namespace bench {

void add_ratios(Report& report) {
  using namespace names;
  constexpr auto kAtMost = Report::Aim::kAtMost;
  constexpr auto kAtLeast = Report::Aim::kAtLeast;
  constexpr auto kNone = Report::Aim::kNone;

  report.aim("stall_over_memcpy", kStall, kCopy, kAtMost, 1.3);
  report.aim("torch_save_over_stall", kTorchSave, kStall, kAtLeast, 8);
  report.aim("first_stall_over_memcpy", kFirstStall, kCopy, kAtMost, 2);
  report.aim("step_beside_save_over_alone", kStepBeside, kStepAlone, kAtMost, 1.15);
  report.aim("not_due_ns", kNotDue, "", kAtMost, 200);

  report.aim("durable_over_raw", kRawWrite, kSave, kAtLeast, 0.95);
  report.aim("first_durable_over_raw", kRawWrite, kFirstSave, kNone);
  report.aim("durable_pth_over_raw", kRawWrite, kSavePth, kNone);
  report.aim("torch_save_over_save", kTorchSave, kSave, kAtLeast, 1.5);

  report.aim("restore_over_pread", kCachedRead, kRestore, kAtLeast, 0.45);
  report.aim("fused_restore_over_pread", kCachedRead, kFusedRestore, kAtLeast, 0.8);
  report.aim("unverified_restore_over_pread", kCachedRead, kUnverifiedRestore, kNone);
  report.aim("restore_over_memcpy", kCopy, kRestore, kAtLeast, 0.4);
  report.aim("fused_restore_over_memcpy", kCopy, kFusedRestore, kAtLeast, 0.6);
  report.aim("torch_load_over_restart", kTorchRestart, kRestart, kAtLeast, 1.5);
  report.aim("cold_restore_over_raw", kRawRead, kColdRestore, kAtLeast, 0.45);
  report.aim("cold_read_once_over_raw", kRawRead, kColdRestoreOnce, kAtLeast, 0.45);
  report.aim("cold_fused_restore_over_raw", kRawRead, kColdFusedRestore, kAtLeast, 0.8);

  report.aim("many_save", kManyTorchSave, kManySave, kAtLeast, 15);
  report.aim("many_load", kManyTorchLoad, kManyRestore, kAtLeast, 15);
  report.aim("many_archive_over_pth", kManySave, kManySaveArchive, kAtLeast, 1);

  report.aim("save_extra_mib", kSaveMemory, "", kAtMost, 64);
  report.aim("restore_extra_mib", kRestoreMemory, "", kAtMost, 64);
}

}  // namespace bench
