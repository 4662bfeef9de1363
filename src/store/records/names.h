#pragma once

#include <checkpoint/format.h>

#include <string>

namespace checkpoint::store {

// The names inside a directory of checkpoints (docs/checkpoint-layout.md).
inline constexpr char kManifestFile[] = "manifest.json";
inline constexpr char kTensorTableFile[] = "tensors.json";
inline constexpr char kArchiveFile[] = "checkpoint.pt";
inline constexpr char kPthFile[] = "checkpoint.pth";
/// The files that hold tensors and values: a checkpoint has one of them.
inline constexpr const char* kContentFiles[] = {kArchiveFile, kPthFile};
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
/// Whether a checkpoint's file of this name holds tensors and values.
bool is_content_file(const std::string& name);
/// The file that holds the tensors and values of a checkpoint in this format: kArchive or kPth.
const char* content_file(Format format);
/// "NAME.corrupt", "NAME.corrupt-2", …: a checkpoint that was set aside.
bool is_set_aside(const std::string& name);
/// Whether a checkpoint may bear the name: plain, no leading dot, not set aside, and neither of the
/// links "latest" and "best".
bool is_checkpoint_name(const std::string& name);

}  // namespace checkpoint::store
