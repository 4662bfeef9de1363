#include "format/decode/tensor_loader.h"

#include "format/decode/placeholders.h"
#include "format/tree/map_tensors.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <utility>

namespace checkpoint::format {

TensorLoader::TensorLoader(const store::ByteSource& source, const DecodedArchive& archive,
                           std::shared_ptr<store::Mapping> mapping)
    : TensorLoader(std::vector<LoaderFile>{{source, std::move(mapping)}}, archive) {}

TensorLoader::TensorLoader(std::vector<LoaderFile> files, const DecodedArchive& archive)
    : files_(std::move(files)), archive_(archive) {
  map_tensors(archive.tree(), [&](const at::Tensor& placeholder) {
    const StoredTensor& stored = *archive.find(placeholder);
    if (placeholder.numel() > 0 && stored.parts == nullptr) ++uses_[place_of(stored)];
    return placeholder;
  });
}

at::Tensor TensorLoader::load(const at::Tensor& placeholder) {
  const StoredTensor& stored = *archive_.find(placeholder);
  const c10::ScalarType dtype = placeholder.scalar_type();
  if (placeholder.numel() == 0 || stored.parts != nullptr) return load_alone(placeholder);
  if (uses_.at(place_of(stored)) == 1 && !can_map(stored, dtype)) return load_alone(placeholder);
  const torch::NoGradGuard no_grad;
  const at::Tensor bytes = bytes_of_record(stored, dtype);
  at::Tensor tensor = at::empty({0}, at::TensorOptions().dtype(dtype));
  tensor.set_(bytes.storage(), stored.storage_offset, placeholder.sizes(), placeholder.strides());
  return tensor.set_requires_grad(placeholder.requires_grad());
}

at::Tensor TensorLoader::load_alone(const at::Tensor& placeholder) const {
  const auto source = [&](size_t file) -> const store::ByteSource& {
    return files_.at(file).source;
  };
  return load_tensor(source, archive_, placeholder);
}

bool TensorLoader::can_map(const StoredTensor& stored, c10::ScalarType dtype) const {
  return files_.at(stored.file).mapping != nullptr && stored.lies_as_it_is() &&
         stored.record_offset % c10::elementSize(dtype) == 0;
}

at::Tensor TensorLoader::bytes_of_record(const StoredTensor& stored, c10::ScalarType dtype) {
  const LoaderFile& file = files_.at(stored.file);
  const auto known = records_.find(place_of(stored));
  if (known != records_.end()) {
    if (stored.big_endian && known->second.dtype != dtype) {
      throw Error(ErrorCode::kUnsupported,
                  "tensors of two dtypes share memory, in the byte order of another machine",
                  file.source.name());
    }
    return known->second.bytes;
  }
  at::Tensor bytes;
  const auto count = static_cast<int64_t>(stored.record_bytes);
  if (can_map(stored, dtype)) {
    bytes = at::from_blob(
        file.mapping->data() + stored.record_offset, {count}, [mapping = file.mapping](void*) {},
        at::TensorOptions().dtype(at::kByte));
  } else {
    bytes = at::empty({count}, at::TensorOptions().dtype(at::kByte));
    read_record(file.source, stored, 0, bytes.data_ptr(), stored.record_bytes);
    if (stored.big_endian) swap_bytes(bytes.data_ptr(), stored.record_bytes, dtype);
  }
  records_.emplace(place_of(stored), Bytes{bytes, dtype});
  return bytes;
}

}  // namespace checkpoint::format
