// Placeholders stand for the tensors of a file before their bytes are read. A reader describes each
// tensor (TensorLayout) and where its bytes are (ByteRange). Both are checked here: a file may
// claim anything. Reading a tensor comes later, in load_tensor.

#include "format/decode/placeholders.h"

#include "base/in_quotes.h"
#include "compat/accelerator.h"
#include "format/decode/read_strided.h"
#include "format/tree/dense.h"

#include <checkpoint/error.h>

#include <ATen/EmptyTensor.h>
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

namespace checkpoint::format {

namespace {

// Returns how many elements of its storage a tensor spans, from its first one on. Returns empty if
// the number does not fit, or if a size or stride is negative.
std::optional<int64_t> reach_of(at::IntArrayRef sizes, at::IntArrayRef strides) {
  int64_t last = 0;
  int64_t elements = 1;  // Of the dimensions that are not empty: LibTorch multiplies these too.
  bool empty = false;
  for (size_t i = 0; i < sizes.size(); ++i) {
    int64_t reach = 0;
    if (sizes[i] < 0 || strides[i] < 0) return std::nullopt;
    if (sizes[i] == 0) {
      empty = true;
      continue;
    }
    if (__builtin_mul_overflow(sizes[i] - 1, strides[i], &reach) ||
        __builtin_add_overflow(last, reach, &last) ||
        __builtin_mul_overflow(elements, sizes[i], &elements)) {
      return std::nullopt;
    }
  }
  if (empty) return 0;
  if (last == std::numeric_limits<int64_t>::max()) return std::nullopt;
  return last + 1;
}

bool may_require_grad(c10::ScalarType dtype) {
  return c10::isFloatingType(dtype) || c10::isComplexType(dtype);
}

// The size of what is swapped as one number: each half of a complex number.
size_t number_bytes(c10::ScalarType dtype) {
  return c10::elementSize(dtype) / (c10::isComplexType(dtype) ? 2 : 1);
}

}  // namespace

Placeholders::Placeholders(const store::ByteSource& source, bool big_endian, size_t expected)
    : source_(source), big_endian_(big_endian) {
  archive_.table_->rows.reserve(expected);
}

at::Tensor Placeholders::make(const TensorLayout& tensor, const ByteRange& record) {
  check(tensor, record);
  return add(tensor, {record.offset, record.bytes, tensor.storage_offset,
                      device(std::string(tensor.location)), record.name, big_endian_,
                      record.deflated, nullptr, record.file});
}

at::Tensor Placeholders::make_own(const TensorLayout& tensor) {
  const ByteRange record{"of an array of NumPy", source_.size() + own_count_++,
                         tensor.bytes->size()};
  check(tensor, record);
  return add(tensor, {record.offset, record.bytes, 0, c10::Device(c10::kCPU), record.name,
                      tensor.big_endian, std::nullopt, tensor.bytes});
}

at::Tensor Placeholders::add(const TensorLayout& tensor, StoredTensor stored) {
  at::Tensor placeholder =
      at::detail::empty_strided_meta(tensor.sizes, tensor.strides, tensor.dtype);
  if (tensor.requires_grad) placeholder.set_requires_grad(true);
  archive_.table_->rows.emplace(placeholder.unsafeGetTensorImpl(),
                                DecodedArchive::Row{placeholder, std::move(stored)});
  return placeholder;
}

DecodedArchive Placeholders::finish(Value tree, std::map<std::string, std::string> dropped) {
  archive_.tree_ = std::move(tree);
  archive_.dropped_ = std::move(dropped);
  return std::move(archive_);
}

// Checks that the record is as large as the storage, and holds the whole tensor.
void Placeholders::check(const TensorLayout& tensor, const ByteRange& record) const {
  const uint64_t item_bytes = c10::elementSize(tensor.dtype);
  // LibTorch rounds down if a storage ends within an element.
  if (tensor.storage_numel < 0 ||
      static_cast<uint64_t>(tensor.storage_numel) != record.bytes / item_bytes) {
    store::throw_corrupt("record " + base::in_quotes(record.name) + " has " +
                             std::to_string(record.bytes) + " bytes, which are not the " +
                             std::to_string(tensor.storage_numel) + " " +
                             c10::toString(tensor.dtype) + " elements that it should hold",
                         source_);
  }
  const std::optional<int64_t> reach = reach_of(tensor.sizes, tensor.strides);
  if (!reach || tensor.storage_offset < 0 ||
      (*reach > 0 && (tensor.storage_offset > tensor.storage_numel ||
                      *reach > tensor.storage_numel - tensor.storage_offset))) {
    store::throw_corrupt("a tensor reaches outside of its record " + base::in_quotes(record.name),
                         source_);
  }
  if (tensor.requires_grad && !may_require_grad(tensor.dtype)) {
    store::throw_corrupt(
        std::string("a tensor of ") + c10::toString(tensor.dtype) + " requires a gradient",
        source_);
  }
}

c10::Device Placeholders::device(const std::string& name) {
  const auto known = devices_.find(name);
  if (known != devices_.end()) return known->second;
  const std::optional<c10::Device> device = compat::device_of(name);
  if (!device) {
    throw Error(
        ErrorCode::kUnsupported,
        "a tensor was saved from " + base::in_quotes(name) + ", which is not a device's name",
        source_.name());
  }
  return devices_.emplace(name, *device).first->second;
}

const StoredTensor* DecodedArchive::find(const at::Tensor& placeholder) const {
  const auto found = table_->rows.find(placeholder.unsafeGetTensorImpl());
  return found == table_->rows.end() ? nullptr : &found->second.stored;
}

void read_record(const store::ByteSource& source, const StoredTensor& stored, uint64_t offset,
                 void* to, uint64_t count) {
  if (stored.own != nullptr) {
    std::memcpy(to, stored.own->data() + offset, count);
    return;
  }
  if (!stored.deflated) {
    source.read_at(stored.record_offset + offset, to, count);
    return;
  }
  if (count == stored.record_bytes) return inflate(source, *stored.deflated, stored.record, to);
  std::string all(stored.record_bytes, '\0');
  inflate(source, *stored.deflated, stored.record, all.data());
  std::memcpy(to, all.data() + offset, count);
}

void swap_bytes(void* data, size_t count, c10::ScalarType dtype) {
  auto* const bytes = static_cast<std::byte*>(data);
  const size_t width = number_bytes(dtype);
  for (size_t at = 0; at + width <= count; at += width) {
    std::reverse(bytes + at, bytes + at + width);
  }
}

at::Tensor view_of_part(const at::Tensor& whole, at::IntArrayRef at, at::IntArrayRef sizes) {
  at::Tensor view = whole;
  for (size_t i = 0; i < at.size(); ++i) {
    view = view.narrow(static_cast<int64_t>(i), at[i], sizes[i]);
  }
  return view;
}

at::Tensor DecodedArchive::part(const at::Tensor& placeholder, at::IntArrayRef at,
                                at::IntArrayRef sizes) {
  const auto add = [&](at::IntArrayRef part_sizes, at::IntArrayRef strides, StoredTensor stored) {
    at::Tensor made =
        at::detail::empty_strided_meta(part_sizes, strides, placeholder.scalar_type());
    table_->rows.emplace(made.unsafeGetTensorImpl(), Row{made, std::move(stored)});
    return made;
  };
  // Copies: the table may move what it holds.
  StoredTensor stored = table_->rows.at(placeholder.unsafeGetTensorImpl()).stored;
  const std::vector<StoredPart> whole = {{std::vector<int64_t>(at.size(), 0), placeholder}};
  const std::vector<StoredPart> all = stored.parts != nullptr ? *stored.parts : whole;
  auto parts = std::make_shared<std::vector<StoredPart>>();
  for (const StoredPart& part : all) {
    const at::Tensor& source = part.placeholder;
    StoredTensor piece = table_->rows.at(source.unsafeGetTensorImpl()).stored;
    piece.is_piece = true;
    std::vector<int64_t> place, piece_sizes;
    for (size_t i = 0; i < at.size(); ++i) {
      const int64_t begin = std::max(at[i], part.at[i]);
      const int64_t end =
          std::min(at[i] + sizes[i], part.at[i] + source.size(static_cast<int64_t>(i)));
      place.push_back(begin - at[i]);
      piece_sizes.push_back(std::max<int64_t>(end - begin, 0));
      piece.storage_offset += (begin - part.at[i]) * source.stride(static_cast<int64_t>(i));
    }
    if (std::count(piece_sizes.begin(), piece_sizes.end(), 0) > 0) continue;
    parts->push_back({std::move(place), add(piece_sizes, source.strides(), std::move(piece))});
  }
  stored.parts = std::move(parts);
  at::Tensor result = add(sizes, dense_strides(sizes, placeholder.strides()), std::move(stored));
  return result.set_requires_grad(placeholder.requires_grad());
}

at::Tensor load_tensor(const Sources& sources, const DecodedArchive& archive,
                       const at::Tensor& placeholder) {
  const StoredTensor* stored = archive.find(placeholder);
  if (stored == nullptr) {
    throw Error(ErrorCode::kInvalidArgument, "the tensor is not a placeholder of this archive",
                sources(0).name());
  }
  // What lies in the gaps between a piece's elements belongs to other pieces.
  const bool has_gaps = stored->is_piece && !stored->deflated && stored->own == nullptr &&
                        !placeholder.is_non_overlapping_and_dense();
  at::Tensor tensor = at::empty_strided(
      placeholder.sizes(),
      has_gaps ? dense_strides(placeholder.sizes(), placeholder.strides()) : placeholder.strides(),
      at::TensorOptions().dtype(placeholder.scalar_type()));
  if (stored->parts != nullptr) {
    const at::NoGradGuard no_grad;
    for (const StoredPart& part : *stored->parts) {
      view_of_part(tensor, part.at, part.placeholder.sizes())
          .copy_(load_tensor(sources, archive, part.placeholder));
    }
  } else if (tensor.numel() > 0) {
    const uint64_t item_bytes = tensor.element_size();
    const auto first = static_cast<uint64_t>(stored->storage_offset) * item_bytes;
    if (has_gaps) {
      const store::ByteSource& source = sources(stored->file);
      read_strided(tensor, placeholder.strides(), [&](uint64_t offset, void* to, uint64_t bytes) {
        read_record(source, *stored, first + offset, to, bytes);
      });
      if (stored->big_endian) swap_bytes(tensor.data_ptr(), tensor.nbytes(), tensor.scalar_type());
      return tensor;
    }
    const auto reach = static_cast<uint64_t>(*reach_of(tensor.sizes(), tensor.strides()));
    read_record(sources(stored->file), *stored, first, tensor.data_ptr(), reach * item_bytes);
    if (stored->big_endian) swap_bytes(tensor.data_ptr(), reach * item_bytes, tensor.scalar_type());
  }
  if (placeholder.requires_grad()) tensor.set_requires_grad(true);
  return tensor;
}

at::Tensor load_tensor(const store::ByteSource& source, const DecodedArchive& archive,
                       const at::Tensor& placeholder) {
  return load_tensor([&](size_t) -> const store::ByteSource& { return source; }, archive,
                     placeholder);
}

}  // namespace checkpoint::format
