// Finds signs of checkpoints that a scan does not list. A training must not start from scratch next
// to them. The cases:
//
//   the directory is a checkpoint itself    the user has named one level too many
//   a directory below has checkpoints       the user has named one level too few: several runs
//   a link to a checkpoint, or to a run     links are not followed: nothing is removed through one
//   a link that leads nowhere               its target may be on a disk that is not mounted
//   .NAME                                   names with a dot are reserved for this library
//   .retiring-NAME                          a removal that was begun but not decided
//   history.jsonl, but not its checkpoints  a disk is not mounted, or only small files were copied
//
// Not reported: checkpoints that a scan or set_aside_names lists; .staging-… (that save never
// succeeded); .retired-… (its removal was decided, and a newer checkpoint existed); pins (only
// names).
//
// Retention keeps the newest checkpoint, so a directory never becomes empty by itself. A user who
// has removed all checkpoints by hand is asked to remove history.jsonl too. `remove` notes in the
// history that it has removed the last one.

#include "store/directory/unseen.h"

#include "base/in_quotes.h"
#include "base/text.h"
#include "store/directory/history.h"
#include "store/io/file.h"
#include "store/records/marker.h"
#include "store/records/names.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <string_view>

namespace checkpoint::store {
namespace {

// A limit, so that a foreign directory with very many files takes little time.
constexpr size_t kMostBelow = 1000;

std::vector<std::string> sorted_names(FileSystem& fs, const std::string& path) {
  std::vector<std::string> names = list_directory(fs, path);
  std::sort(names.begin(), names.end());
  return names;
}

// Returns the name of the first checkpoint in a directory. Empty if no checkpoint was found.
std::string checkpoint_in(FileSystem& fs, const std::string& path) {
  std::vector<std::string> names = sorted_names(fs, path);
  if (names.size() > kMostBelow) names.resize(kMostBelow);
  for (const std::string& name : names) {
    if (is_checkpoint_name(name) && S_ISDIR(status_of(fs, join(path, name)).st_mode) &&
        looks_like_checkpoint(fs, join(path, name))) {
      return name;
    }
  }
  return {};
}

std::optional<std::string> why_below(FileSystem& fs, const std::string& path) {
  const std::string inner = checkpoint_in(fs, path);
  if (inner.empty()) return std::nullopt;
  return "a directory that holds checkpoints (" + base::in_quotes(inner) +
         "): to continue that run, " + "name " + base::in_quotes(path) + " as the directory";
}

std::optional<std::string> why_directory(FileSystem& fs, const std::string& name,
                                         const std::string& path) {
  if (base::begins_with(name, kRetiringPrefix)) {
    if (!looks_like_checkpoint(fs, path)) return std::nullopt;
    return "a checkpoint whose removal was begun but not decided: rename it to " +
           base::in_quotes(name.substr(sizeof kRetiringPrefix - 1));
  }
  if (name[0] == '.') {
    if (!looks_like_checkpoint(fs, path)) return std::nullopt;
    return "a checkpoint with a hidden name: rename it, without the dot";
  }
  return why_below(fs, path);
}

std::optional<std::string> why_link(FileSystem& fs, const std::string& name,
                                    const std::string& path) {
  std::string target;
  if (fs.readlink(path.c_str(), &target) != 0) throw system_failure("read the link", path, errno);
  struct stat info;
  if (fs.stat(path.c_str(), &info) != 0) {
    if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
      throw system_failure("follow the link", path, errno);
    }
    return "a link that leads nowhere, to " + base::in_quotes(target) +
           ": mount or restore its target, or remove the link";
  }
  if (!S_ISDIR(info.st_mode)) {
    if (name != kLatestLink && name != kBestLink) return std::nullopt;
    return "the link to a checkpoint leads to a file, " + base::in_quotes(target) +
           ": unpack that file, or remove the link";
  }
  if (looks_like_checkpoint(fs, path)) {
    return "a link to a checkpoint, " + base::in_quotes(target) +
           ", but links are not followed: replace the link with the directory itself";
  }
  return why_below(fs, path);
}

std::optional<std::string> why(const Directory& directory, const std::string& name) {
  for (const char* const own : {kStagingPrefix, kRetiredPrefix}) {
    if (base::begins_with(name, own)) return std::nullopt;
  }
  if (name == kPinsDirectory || is_set_aside(name)) return std::nullopt;
  const std::string path = directory.path_of(name);
  const mode_t mode = status_of(directory.fs(), path).st_mode;
  if (S_ISLNK(mode)) return why_link(directory.fs(), name, path);
  if (S_ISDIR(mode)) return why_directory(directory.fs(), name, path);
  return std::nullopt;
}

std::optional<std::string> why_history(const Directory& directory) {
  const std::vector<HistoryEntry> entries = read_history(directory);
  if (entries.empty() || entries.back().given_up) return std::nullopt;
  return "says that checkpoints were saved here, the last of them " +
         base::in_quotes(entries.back().name) +
         ", but they are gone: mount their disk or copy them back, or remove this file too";
}

}  // namespace

std::vector<Unseen> find_unseen(const Directory& directory) {
  std::vector<Unseen> result;
  if (looks_like_checkpoint(directory.fs(), directory.path())) {
    result.push_back({".", "this directory is a checkpoint itself: name its parent directory, " +
                               base::in_quotes(parent_of(directory.path()))});
  }
  for (const std::string& name : sorted_names(directory.fs(), directory.path())) {
    const auto reason = name == kHistoryFile ? why_history(directory) : why(directory, name);
    if (reason) result.push_back({name, *reason});
  }
  return result;
}

std::vector<std::string> files_like_checkpoints(const Directory& directory) {
  static constexpr std::array<std::string_view, 9> kEndings = {
      ".pt", ".pth", ".ckpt", ".safetensors", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".zip"};
  std::vector<std::string> result;
  for (const std::string& name : sorted_names(directory.fs(), directory.path())) {
    const bool fits = std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view end) {
      return name.size() > end.size() && base::ends_with(name, end);
    });
    if (fits && S_ISREG(status_of(directory.fs(), directory.path_of(name)).st_mode)) {
      result.push_back(name);
    }
  }
  return result;
}

}  // namespace checkpoint::store
