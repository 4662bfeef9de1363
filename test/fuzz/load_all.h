#pragma once

#include "format/decode/tensor_loader.h"
#include "format/read_file.h"
#include "format/tree/map_tensors.h"

#include <cstdlib>

namespace test {

/// Reads a file of any format with all its tensors, as `load` does. Aborts if a tensor has more
/// bytes than the file.
inline void load_all(const checkpoint::store::ByteSource& source) {
  using namespace checkpoint::format;
  const DecodedArchive archive = read_file(source);
  TensorLoader loader(source, archive, nullptr);
  map_tensors(archive.tree(), [&](const at::Tensor& placeholder) {
    const at::Tensor tensor = loader.load(placeholder);
    if (tensor.storage().nbytes() > source.size()) std::abort();
    return tensor;
  });
}

}  // namespace test
