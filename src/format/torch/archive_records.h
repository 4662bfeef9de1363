#pragma once

#include <ATen/core/Tensor.h>
#include <torch/serialize/archive.h>

#include <map>
#include <string>
#include <vector>

namespace checkpoint::format {

/// What a LibTorch archive holds, before it is a file.
struct ArchiveRecords {
  std::string pickle;               ///< `data.pkl`
  std::vector<at::Tensor> tensors;  ///< `data/0`, `data/1`, …: each one's whole storage
  std::map<std::string, std::string>
      sources;  ///< The types of its modules, as TorchScript: by path
};

/// Returns what LibTorch would write for this archive, without the tensors' bytes. The tensors
/// share their memory with those that were written into it; those with one storage are one record.
/// Its modules must be attributes of modules, not parts of lists or dicts. Throws what
/// pickle_module throws, and c10::Error if LibTorch cannot write it.
ArchiveRecords records_of(const torch::serialize::OutputArchive& archive);

}  // namespace checkpoint::format
