#pragma once

#include <string>

namespace checkpoint::store {

// The names inside a directory of checkpoints (docs/checkpoint-layout.md).
inline constexpr char kManifestFile[] = "manifest.json";
inline constexpr char kTensorTableFile[] = "tensors.json";
inline constexpr char kArchiveFile[] = "checkpoint.pt";
inline constexpr char kPthFile[] = "checkpoint.pth";
inline constexpr char kMarkerFile[] = ".torch-checkpoint";
inline constexpr char kLockFile[] = ".lock";
inline constexpr char kLatestLink[] = "latest";
inline constexpr char kBestLink[] = "best";
inline constexpr char kHistoryFile[] = "history.jsonl";
inline constexpr char kPinsDirectory[] = ".pins";
inline constexpr char kStagingPrefix[] = ".staging-";
inline constexpr char kRetiringPrefix[] = ".retiring-";  // and the name
inline constexpr char kRetiredPrefix[] = ".retired-";

/// Whether `name` can stand in a directory and lead nowhere else: not empty, "." or "..", no slash,
/// no NUL, 255 bytes at most.
bool is_plain_name(const std::string& name);
/// "NAME.corrupt", "NAME.corrupt-2", …: a checkpoint that was set aside.
bool is_set_aside(const std::string& name);
/// Whether a checkpoint may bear the name: plain, no leading dot, not set aside, and neither of the
/// links "latest" and "best".
bool is_checkpoint_name(const std::string& name);

}  // namespace checkpoint::store
