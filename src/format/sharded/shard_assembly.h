#pragma once

#include "format/decode/decoded.h"

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint::format {

/// Puts the placeholders of several files into one archive. Used once.
class ShardAssembly {
 public:
  /// Takes over the placeholders of file number `file`. Returns its tensors by name. Throws
  /// Error(unsupported), naming `path`, if the file is more than a flat dict of tensors.
  std::vector<std::pair<std::string, at::Tensor>> take(DecodedArchive shard, size_t file,
                                                       const std::string& path);
  /// Adds a tensor that lies in parts, which cover it.
  at::Tensor add_in_parts(const std::vector<int64_t>& shape, std::vector<StoredPart> parts,
                          const std::string& name);
  /// Returns the archive. `dropped`: see DecodedArchive::dropped.
  DecodedArchive finish(Value tree, std::map<std::string, std::string> dropped);

 private:
  DecodedArchive result_;
};

}  // namespace checkpoint::format
