#pragma once

/// The names of what is measured, where rounds and ratios share them.
namespace bench::names {

// Limits: what the machine does without any library.
constexpr char kCopy[] = "memcpy warm, all cores";
constexpr char kCachedRead[] = "pread warm, all cores";
constexpr char kRawWrite[] = "raw O_DIRECT write, fsync";
constexpr char kRawRead[] = "raw O_DIRECT read, all cores";

// Saves.
constexpr char kSave[] = "save";
constexpr char kFirstSave[] = "save, first";
constexpr char kSavePth[] = "save, kPth";
constexpr char kTorchSave[] = "torch::save, fsync";

// How long training waits.
constexpr char kStall[] = "stall";
constexpr char kFirstStall[] = "stall, first";
constexpr char kStepAlone[] = "step alone";
constexpr char kStepBeside[] = "step beside a save";
constexpr char kNotDue[] = "save_if_due, nothing due";

// Restores.
constexpr char kRestore[] = "restore, verified before";
constexpr char kFusedRestore[] = "restore, verified while reading";
constexpr char kUnverifiedRestore[] = "restore, not verified";
constexpr char kTorchLoad[] = "torch::load";
constexpr char kColdRestore[] = "restore, cold";
constexpr char kColdRestoreOnce[] = "restore, cold, read once";
constexpr char kColdFusedRestore[] = "restore, cold, verified while reading";
constexpr char kRestart[] = "restart, verified before";
constexpr char kTorchRestart[] = "restart, torch::load";

// 16,000 parameters.
constexpr char kManySave[] = "save, 16,000 parameters";
constexpr char kManySaveArchive[] = "save, 16,000 parameters, kArchive";
constexpr char kManyRestore[] = "restore, 16,000 parameters";
constexpr char kManyRestoreArchive[] = "restore, 16,000 parameters, kArchive";
constexpr char kManyTorchSave[] = "torch::save, fsync, 16,000 parameters";
constexpr char kManyTorchLoad[] = "torch::load, 16,000 parameters";

// Memory beyond what the process has.
constexpr char kSaveMemory[] = "extra memory, save";
constexpr char kRestoreMemory[] = "extra memory, restore";

}  // namespace bench::names
