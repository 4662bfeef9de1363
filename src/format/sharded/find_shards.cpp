// Finds the model that a path means. A directory may hold several: a model in one file, indexes of
// variants, files in the older format. transformers prefers safetensors and so do we. Where a save
// that replaced another one has left both behind, we do not guess.

#include "format/sharded/find_shards.h"

#include "base/text.h"
#include "format/sharded/rank_shards.h"
#include "format/sharded/shard_index.h"
#include "store/io/file.h"
#include "store/records/names.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <vector>

namespace checkpoint::format {
namespace {

using Kind = FoundModel::Kind;
using Names = std::vector<std::string>;

bool has(const Names& names, const std::string& name) {
  return std::binary_search(names.begin(), names.end(), name);
}

[[noreturn]] void refuse_to_guess(const std::string& directory, const std::string& one,
                                  const std::string& other) {
  throw Error(ErrorCode::kInvalidArgument,
              "this directory has two models, '" + one + "' and '" + other + "'", directory, 0,
              "Give the path of the file that you mean, or remove the other one.");
}

// Returns the index of this kind, or "". The one without a variant is preferred.
std::string choose_index(const Names& names, const ShardKind& kind, const std::string& single,
                         const std::string& directory) {
  const std::string usual = single + kIndexEnd;
  if (has(names, usual)) return usual;
  Names indexes;
  for (const std::string& name : names) {
    const ShardKind* const its = index_kind(name);
    if (its != nullptr && its->index_end == kind.index_end) indexes.push_back(name);
  }
  if (indexes.size() > 1) refuse_to_guess(directory, indexes[0], indexes[1]);
  return indexes.empty() ? "" : indexes.front();
}

// Looks for a model of one kind: in one file, or an index.
FoundModel find_kind(const Names& names, const ShardKind& kind, const std::string& stem,
                     const std::string& directory) {
  const std::string single = stem + std::string(kind.shard_end);
  const bool has_single = has(names, single);
  if (has_single && !has(names, single + kIndexEnd)) {
    return {Kind::kFile, store::join(directory, single)};
  }
  const std::string index = choose_index(names, kind, single, directory);
  if (index.empty()) return {};
  const std::string its_single = index.substr(0, index.size() - std::string(kIndexEnd).size());
  if (has(names, its_single)) refuse_to_guess(directory, its_single, index);
  return {Kind::kIndex, store::join(directory, index)};
}

// Shards without an index: a save or a download that did not come to its end.
void refuse_lost_shards(const Names& names, const std::string& directory) {
  for (const std::string& name : names) {
    for (const ShardKind& kind : shard_kinds()) {
      const size_t dash = name.rfind("-of-");
      const size_t number =
          dash == std::string::npos || dash == 0 ? dash : name.rfind('-', dash - 1);
      if (number == std::string::npos) continue;
      const std::string stem = name.substr(0, number);
      if (!is_shard_name(name, stem, kind.shard_end)) continue;
      const std::string index = stem + std::string(kind.index_end);
      throw Error(ErrorCode::kNotFound,
                  "this directory has the shard '" + name + "', but not the index '" + index + "'",
                  directory, 0, "Save or download the model again: it did not come to its end.");
    }
  }
}

bool holds_checkpoints(store::FileSystem& fs, const std::string& directory, const Names& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    const bool may_be =
        store::is_checkpoint_name(name) || name == store::kLatestLink || name == store::kBestLink;
    const std::string manifest = store::join(name, store::kManifestFile);
    return may_be && store::status_of(fs, store::join(directory, manifest)).st_mode != 0;
  });
}

FoundModel find_in_directory(store::FileSystem& fs, const std::string& directory) {
  Names names = store::list_directory(fs, directory);
  std::sort(names.begin(), names.end());
  const std::vector<ShardKind>& kinds = shard_kinds();
  const char* const stems[] = {"model", "pytorch_model"};
  FoundModel found;
  for (size_t i = 0; i < kinds.size() && found.kind == Kind::kNone; ++i) {
    found = find_kind(names, kinds[i], stems[i], directory);
  }
  if (found.kind == Kind::kNone &&
      std::any_of(names.begin(), names.end(), [](const auto& n) { return is_rank_shard(n); })) {
    found = {Kind::kRankFiles, directory};
  }
  if (found.kind == Kind::kNone) {
    refuse_lost_shards(names, directory);
  } else if (holds_checkpoints(fs, directory, names)) {
    return {};  // A run's directory, with a model exported into it: the caller asks which is meant.
  }
  return found;
}

}  // namespace

FoundModel find_model(store::FileSystem& fs, const std::string& path) {
  if (store::is_directory(fs, path)) return find_in_directory(fs, path);
  if (index_kind(path) != nullptr) return {Kind::kIndex, path};
  const std::string index = path + kIndexEnd;
  const bool is_missing = store::status_of(fs, path).st_mode == 0;
  if (is_missing && index_kind(index) != nullptr && store::status_of(fs, index).st_mode != 0) {
    return {Kind::kIndex, index};
  }
  return {};
}

}  // namespace checkpoint::format
