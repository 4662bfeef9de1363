#pragma once

#include "format/torch/archive_plan.h"

#include <ATen/core/Tensor.h>
#include <torch/serialize/archive.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace checkpoint::format {

/// What a LibTorch archive holds, before it is a file.
struct ArchiveRecords {
  std::string pickle;               ///< `data.pkl`
  std::vector<at::Tensor> tensors;  ///< `data/0`, `data/1`, …: each one's whole storage
  std::shared_ptr<const ArchiveSources> sources;
};

/// Returns what LibTorch would write for this archive, without the tensors' bytes. The tensors
/// share their memory with those that were written into it; those with one storage are one record.
/// Its modules must be attributes of modules, not parts of lists or dicts. Their sources are those
/// of `plan` if the archive's module has its class. Afterwards `plan` is that of this archive.
/// `tensors` is how many it has, if known: memory for their pickle is reserved. Throws what
/// pickle_module throws, and c10::Error if LibTorch cannot write it.
ArchiveRecords records_of(const torch::serialize::OutputArchive& archive, ArchivePlan& plan,
                          size_t tensors = 0);

}  // namespace checkpoint::format
