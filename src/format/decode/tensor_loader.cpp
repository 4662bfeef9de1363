#include "format/decode/tensor_loader.h"

#include "format/decode/placeholders.h"
#include "format/tree/map_tensors.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <utility>

namespace checkpoint::format {

TensorLoader::TensorLoader(const store::ByteSource& source, const DecodedArchive& archive,
                           std::shared_ptr<store::Mapping> mapping)
    : source_(source), archive_(archive), mapping_(std::move(mapping)) {
  map_tensors(archive.tree(), [&](const at::Tensor& placeholder) {
    const StoredTensor& stored = *archive.find(placeholder);
    if (placeholder.numel() > 0 && stored.parts == nullptr) ++uses_[stored.record_offset];
    return placeholder;
  });
}

at::Tensor TensorLoader::load(const at::Tensor& placeholder) {
  const StoredTensor& stored = *archive_.find(placeholder);
  const c10::ScalarType dtype = placeholder.scalar_type();
  if (stored.parts != nullptr) return load_tensor(source_, archive_, placeholder);
  const bool alone = placeholder.numel() == 0 || uses_.at(stored.record_offset) == 1;
  if (placeholder.numel() == 0 || (alone && !can_map(stored, dtype))) {
    return load_tensor(source_, archive_, placeholder);
  }
  const torch::NoGradGuard no_grad;
  const at::Tensor bytes = bytes_of_record(stored, dtype);
  at::Tensor tensor = at::empty({0}, at::TensorOptions().dtype(dtype));
  tensor.set_(bytes.storage(), stored.storage_offset, placeholder.sizes(), placeholder.strides());
  return tensor.set_requires_grad(placeholder.requires_grad());
}

bool TensorLoader::can_map(const StoredTensor& stored, c10::ScalarType dtype) const {
  return mapping_ != nullptr && stored.lies_as_it_is() &&
         stored.record_offset % c10::elementSize(dtype) == 0;
}

at::Tensor TensorLoader::bytes_of_record(const StoredTensor& stored, c10::ScalarType dtype) {
  const auto known = records_.find(stored.record_offset);
  if (known != records_.end()) {
    if (stored.big_endian && known->second.dtype != dtype) {
      throw Error(ErrorCode::kUnsupported,
                  "tensors of two dtypes share memory, in the byte order of another machine",
                  source_.name());
    }
    return known->second.bytes;
  }
  at::Tensor bytes;
  const auto count = static_cast<int64_t>(stored.record_bytes);
  if (can_map(stored, dtype)) {
    bytes = at::from_blob(
        mapping_->data() + stored.record_offset, {count}, [mapping = mapping_](void*) {},
        at::TensorOptions().dtype(at::kByte));
  } else {
    bytes = at::empty({count}, at::TensorOptions().dtype(at::kByte));
    read_record(source_, stored, 0, bytes.data_ptr(), stored.record_bytes);
    if (stored.big_endian) swap_bytes(bytes.data_ptr(), stored.record_bytes, dtype);
  }
  records_.emplace(stored.record_offset, Bytes{bytes, dtype});
  return bytes;
}

}  // namespace checkpoint::format
