#pragma once

#include "format/torch/archive_modules.h"

#include <ATen/core/class_type.h>

#include <map>
#include <memory>
#include <string>

namespace checkpoint::format {

/// The types of an archive's modules, as TorchScript: by path.
using ArchiveSources = std::map<std::string, std::string>;

/// What the next archive can take from the last one, if its entries have the same names and types:
/// a training loop writes the same state again and again. It has no tensors and no values. It grows
/// with the number of different names, by some hundred bytes for each. One archive at a time.
struct ArchivePlan {
  ArchiveModules modules;
  c10::ClassTypePtr root;  ///< The class of the last archive: it says all names and types.
  std::shared_ptr<const ArchiveSources> sources;  ///< Of that class.
};

}  // namespace checkpoint::format
