#pragma once

#include <checkpoint/format.h>

#include <cstdint>
#include <string>

namespace checkpoint::store {

// The names inside a directory of checkpoints (docs/checkpoint-layout.md).
inline constexpr char kManifestFile[] = "manifest.json";
inline constexpr char kTensorTableFile[] = "tensors.json";
inline constexpr char kArchiveFile[] = "checkpoint.pt";
inline constexpr char kPthFile[] = "checkpoint.pth";
/// The content file of a process that saves alone, in each format. It holds tensors and values. Of
/// several ranks, each writes one of its own (content_file).
inline constexpr const char* kContentFiles[] = {kArchiveFile, kPthFile};
inline constexpr char kMarkerFile[] = ".torch-checkpoint";
inline constexpr char kLockFile[] = ".lock";
inline constexpr char kLatestLink[] = "latest";
inline constexpr char kBestLink[] = "best";
inline constexpr char kHistoryFile[] = "history.jsonl";
inline constexpr char kPinsDirectory[] = ".pins";
inline constexpr char kStagingPrefix[] = ".staging-";
inline constexpr char kRetiringPrefix[] = ".retiring-";  // Followed by the checkpoint's name.
inline constexpr char kRetiredPrefix[] = ".retired-";

/// Returns whether `name` is a file name that cannot lead out of its directory: not empty, not "."
/// or "..", without slash and NUL, at most 255 bytes.
bool is_plain_name(const std::string& name);
/// Returns whether `name` is that of a content file, of a process alone or of one rank.
bool is_content_file(const std::string& name);
/// Returns whether `name` is that of a file with tensors that earlier checkpoints hold too:
/// "unchanged-0123456789abcdef.pt".
bool is_unchanged_file(const std::string& name);
/// Returns whether the file of this name holds tensors: a content file, or one of unchanged ones.
bool holds_tensors(const std::string& name);
/// Returns a name of a file of unchanged tensors in this format (kArchive or kPth). `id` has 16
/// hexadecimal digits, as base::random_id makes them.
std::string unchanged_file(Format format, const std::string& id);
/// Returns the format that the name of a content file, or of one with unchanged tensors, stands
/// for.
Format format_of(const std::string& name);
/// Returns the name of a rank's content file in this format (kArchive or kPth): "checkpoint.pt" if
/// there is one rank, "checkpoint-00002-of-00008.pt" for rank 2 of 8.
std::string content_file(Format format, int64_t rank = 0, int64_t world_size = 1);
/// Returns whether `name` is that of a checkpoint that was set aside: "NAME.corrupt",
/// "NAME.corrupt-2", …
bool is_set_aside(const std::string& name);
/// Returns whether a checkpoint may have this name: plain, without a leading dot, not set aside,
/// and not "latest" or "best", which are links.
bool is_checkpoint_name(const std::string& name);

}  // namespace checkpoint::store
