#pragma once

#include "state/share/share.h"
#include "store/records/tensor_table.h"

#include <checkpoint/manifest.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace checkpoint::manager {

/// What one rank has written into a checkpoint.
struct RankReport {
  FileEntry file;
  /// The items that each rank has for itself, as this rank has them.
  std::vector<ItemEntry> items;
  /// The places of all tensors that it has written, and the names of its own items' parameters.
  store::TensorTable table;
  /// For each of these tensors: which of Share::shared it is, or nothing for one of an own item.
  std::vector<std::optional<size_t>> shared;
};

/// Makes the report of a rank from what its encoder returned: an entry for each tensor of the
/// share's tree, in order.
RankReport report_of(const state::Share& share, const std::vector<store::TensorEntry>& written,
                     FileEntry file);

/// Returns a report as text, for rank 0, and reads it back. `decode_report` throws Error(corrupt).
std::string encode_report(const RankReport& report);
RankReport decode_report(const std::string& text, int64_t rank);

/// Puts the reports of all ranks, in order of rank, into one table and one manifest. `share` is
/// that of rank 0. Throws Error(incompatible) if the parts of a tensor do not make up the whole.
void merge_reports(const state::Share& share, std::vector<RankReport> reports,
                   store::TensorTable& table, Manifest& manifest);

}  // namespace checkpoint::manager
