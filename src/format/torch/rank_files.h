#pragma once

#include "format/decode/decoded.h"
#include "store/records/tensor_table.h"

#include <checkpoint/manifest.h>

#include <functional>
#include <string>
#include <vector>

namespace checkpoint::format {

/// A checkpoint whose tensors lie in several files, as one rank sees it.
struct RankView {
  /// The tree: what all ranks share, and this rank's own items. Its tensors may lie in parts.
  DecodedArchive archive;
  /// The items in it, each once. Own items that were not saved for this rank are not among them.
  std::vector<ItemEntry> items;
  /// The names of the parameters of these items.
  store::ItemNames names;
  /// The names of own items that were not saved for this rank.
  std::vector<std::string> absent;
};

/// Reads a checkpoint of several files as `rank` sees it: those of several ranks, and those of
/// unchanged tensors. `sources` has the files, in the order of VerifiedCheckpoint::contents;
/// `names` has their names. Reads the bytes of no tensor. Throws
/// Error(corrupt) if the files, the table and the manifest contradict each other, and what
/// read_archive throws.
RankView read_rank_files(const Sources& sources, const std::vector<std::string>& names,
                         const Manifest& manifest, const store::TensorTable& table, int64_t rank);

}  // namespace checkpoint::format
