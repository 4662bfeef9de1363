#pragma once

#include "format/torch/archive_writer.h"
#include "format/torch/pth_writer.h"
#include "store/io/byte_sink.h"
#include "store/records/tensor_table.h"

#include <checkpoint/format.h>
#include <checkpoint/value.h>

#include <set>
#include <string>
#include <vector>

namespace checkpoint::manager {

/// Writes a dict in a checkpoint's format. `any_keys` and `plan` are as for write_archive. Returns
/// an entry for each tensor, in order, without `device` and `file`. Throws what the writers throw.
inline std::vector<store::TensorEntry> encode(const Value& tree,
                                              const std::set<std::string>& any_keys, Format format,
                                              store::ByteSink& sink, format::ArchivePlan& plan) {
  return format == Format::kPth ? format::write_pth_with_table(tree, sink)
                                : format::write_archive(tree.dict(), sink, any_keys, plan);
}

}  // namespace checkpoint::manager
