#include "format/tree/device_copy.h"

#include "compat/accelerator.h"
#include "format/tree/dense.h"

#include <torch/torch.h>

namespace checkpoint::format {
namespace {

constexpr size_t kAlignment = 16;  // The largest element: complex128.

// Whether a copy between host and device takes the bytes as they lie.
bool is_packed(const at::Tensor& tensor) {
  return tensor.is_non_overlapping_and_dense() && !tensor.is_conj() && !tensor.is_neg();
}

at::MemoryFormat dense_format(const at::Tensor& tensor) {
  return tensor.is_non_overlapping_and_dense() ? at::MemoryFormat::Preserve
                                               : at::MemoryFormat::Contiguous;
}

// Returns a tensor with the layout and bits of `like` over the memory of `bytes`.
at::Tensor view_in_span(const at::Tensor& bytes, StorageSpan span, const at::Tensor& like) {
  at::Tensor view = at::empty({0}, bytes.options().dtype(like.scalar_type()));
  const size_t begin = static_cast<size_t>(like.storage_offset()) * like.element_size();
  view.set_(bytes.storage(), static_cast<int64_t>((begin - span.begin) / like.element_size()),
            like.sizes(), like.strides());
  view._set_conj(like.is_conj());
  view._set_neg(like.is_neg());
  return view;
}

// For a full device: takes all bytes between the elements to the host, and back.
void write_by_way_of_host(const at::Tensor& to, const at::Tensor& from) {
  const StorageSpan span = span_of(to);
  at::Tensor on_device = bytes_of_span(to, span);
  const at::Tensor on_host = on_device.cpu();
  view_in_span(on_host, span, to).copy_(from);
  on_device.copy_(on_host);
}

}  // namespace

StorageSpan span_of(const at::Tensor& tensor) {
  if (tensor.numel() == 0) return {0, 0};
  const auto first = static_cast<size_t>(tensor.storage_offset());
  const size_t begin = first * tensor.element_size();
  const size_t end = (first + static_cast<size_t>(extent(tensor))) * tensor.element_size();
  return {begin / kAlignment * kAlignment, end};
}

at::Tensor bytes_of_span(const at::Tensor& tensor, StorageSpan span) {
  at::Tensor bytes = at::empty({0}, at::TensorOptions().dtype(at::kByte).device(tensor.device()));
  return bytes.set_(tensor.storage(), static_cast<int64_t>(span.begin),
                    {static_cast<int64_t>(span.end - span.begin)}, {1});
}

at::Tensor from_span(const at::Tensor& bytes, StorageSpan span, const at::Tensor& like) {
  const at::Tensor view = view_in_span(bytes, span, like);
  return is_packed(view) && fills_its_storage(view) ? view : dense_clone(view);
}

bool fills_its_storage(const at::Tensor& tensor) {
  return tensor.storage_offset() == 0 && tensor.is_non_overlapping_and_dense() &&
         tensor.storage().nbytes() == bytes_of(tensor);
}

at::Tensor dense_clone(const at::Tensor& tensor) {
  return tensor.detach().clone(dense_format(tensor));
}

namespace {

at::Tensor on_host(const at::Tensor& live) {
  if (is_packed(live)) return live.cpu();
  at::Tensor packed;
  try {
    packed = dense_clone(live);
  } catch (const c10::Error&) {  // The device has no room. Another failure shows again below.
    const StorageSpan span = span_of(live);
    return from_span(bytes_of_span(live, span).cpu(), span, live);
  }
  return packed.cpu();
}

void write(at::Tensor live, const at::Tensor& from) {
  if (is_packed(live)) {
    const bool lies_alike =
        from.scalar_type() == live.scalar_type() && from.strides() == live.strides();
    at::Tensor alike = from;
    if (!lies_alike) {
      alike =
          at::empty_strided(live.sizes(), live.strides(), from.options().dtype(live.scalar_type()));
      alike.copy_(from);
    }
    live.copy_(alike);
    return;
  }
  const at::Tensor converted = from.to(live.scalar_type());
  try {
    live.copy_(converted);
  } catch (const c10::OutOfMemoryError&) {
    write_by_way_of_host(live.detach(), converted);
  }
}

}  // namespace

at::Tensor copy_to_host(const at::Tensor& tensor) {
  const torch::NoGradGuard no_grad;
  return compat::on_device("copy a tensor from " + tensor.device().str(),
                           [&] { return on_host(tensor.detach()); });
}

void copy_to_device(const at::Tensor& to, const at::Tensor& from) {
  const torch::NoGradGuard no_grad;
  compat::on_device("copy a tensor to " + to.device().str(), [&] { write(to, from); });
}

}  // namespace checkpoint::format
