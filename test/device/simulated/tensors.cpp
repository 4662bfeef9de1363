// Operations on simulated tensors that concern their memory: making them, viewing them, and copies.

#include "device/simulated/torch.h"

#include <ATen/EmptyTensor.h>
#include <ATen/NativeFunctions.h>
#include <ATen/core/LegacyTypeDispatch.h>

#include <cstring>
#include <vector>

namespace simulated {
namespace {

c10::Device device_of(Optional<at::Device> device) {
  return device_at(device.has_value() ? *device : c10::Device(kinds().front().type)).name;
}

c10::DispatchKeySet keys_of(c10::Device device) {
  return c10::DispatchKeySet(kind_of(device.type()).key);
}

void refuse_pinning(Optional<bool> pin) {
  TORCH_CHECK(!pin.value_or(false), "Only dense CPU tensors can be pinned");
}

// The same elements in a CPU tensor over `storage`.
at::Tensor over(const at::Tensor& tensor, c10::Storage storage) {
  auto made = at::detail::make_tensor<c10::TensorImpl>(
      std::move(storage), c10::DispatchKeySet(c10::DispatchKey::CPU), tensor.dtype());
  auto* const impl = made.unsafeGetTensorImpl();
  impl->set_storage_offset(tensor.storage_offset());
  impl->set_sizes_and_strides(tensor.sizes(), tensor.strides());
  if (tensor.is_conj()) made._set_conj(true);
  if (tensor.is_neg()) made._set_neg(true);
  if (tensor.unsafeGetTensorImpl()->is_wrapped_number()) impl->set_wrapped_number(true);
  return made;
}

// A host tensor without its autograd. Keeps the memory.
at::Tensor plain(const at::Tensor& host) { return over(host, host.storage()); }

// The same without keeping the memory, as a device that copies by itself.
at::Tensor borrowed(const at::Tensor& host) {
  return over(host, c10::Storage(c10::Storage::use_byte_size_t(), host.storage().nbytes(),
                                 c10::DataPtr(storage_begin(host), c10::Device(c10::kCPU)), nullptr,
                                 false));
}

at::Tensor empty(at::IntArrayRef sizes, Optional<at::ScalarType> dtype, Optional<at::Layout>,
                 Optional<at::Device> device, Optional<bool> pin,
                 Optional<at::MemoryFormat> format) {
  refuse_pinning(pin);
  const c10::DeviceGuard guard(device_of(device));
  return at::Tensor(at::detail::empty_generic(sizes, allocator_of(guard.current_device().type()),
                                              keys_of(guard.current_device()),
                                              c10::dtype_or_default(dtype), format));
}

// --- Copies

// Whether the bytes can be copied as they lie. Where they cannot, a device packs them first.
bool lie_alike(const at::Tensor& left, const at::Tensor& right) {
  return left.scalar_type() == right.scalar_type() && left.strides() == right.strides() &&
         left.is_non_overlapping_and_dense();
}

at::Tensor packed(const at::Tensor& tensor, at::ScalarType dtype) {
  if (tensor.is_contiguous() && tensor.scalar_type() == dtype) return tensor;
  const at::Tensor made = at::empty(tensor.sizes(), tensor.options().dtype(dtype));
  at::Tensor to = made;
  return copy_(to, tensor, true);
}

void copy_on_devices(const at::Tensor& self, const at::Tensor& source) {
  Device& to = device_at(self.device());
  Device& from = device_at(source.device());
  at::Tensor a = seen_by_device(self), b = seen_by_device(source);
  // As CUDA: on the source's stream, between the earlier and the later work of the destination's.
  const auto wait_for = [](Device& waiting, Device& awaited) {
    const auto marker = std::make_shared<Marker>();
    awaited.stream(current_stream(awaited)).push(Work::kMarker, [marker] { marker->set(); });
    waiting.stream(current_stream(waiting)).push(Work::kMarker, [marker] { marker->wait(); });
  };
  if (&to != &from) wait_for(from, to);
  queue(from, Work::kKernel, [a, b]() mutable { a.copy_(b); });
  if (&to != &from) wait_for(to, from);
}

void copy_with_host(const at::Tensor& self, const at::Tensor& source, bool non_blocking) {
  const bool to_device = is_on_device(self);
  Device& device = device_at(to_device ? self.device() : source.device());
  const at::Tensor& host = to_device ? source : self;
  const bool direct = non_blocking && is_pinned(host.data_ptr());
  // A real device would have copied the bytes, and the host would then flip them too early.
  TORCH_CHECK(
      !direct || self.is_conj() == source.is_conj(),
      "simulated device: a copy that the host does not wait for must not resolve a conj bit");
  count([&](Counts& counts) {
    ++(to_device ? counts.copies_to_device : counts.copies_to_host);
    counts.copies_awaited += direct || (to_device && non_blocking) ? 0 : 1;
  });
  // What is not pinned is staged: the caller may change it at once.
  const at::Tensor on_host = direct      ? borrowed(host)
                             : to_device ? plain(host).clone()
                                         : plain(host);
  at::Tensor a = to_device ? seen_by_device(self) : on_host;
  const at::Tensor b = to_device ? on_host : seen_by_device(source);
  const auto use = direct ? std::make_shared<PinnedUse>(host.data_ptr()) : nullptr;
  queue(device, Work::kCopy, [a, b, use]() mutable { a.copy_(b); });
  if (!direct && !(to_device && non_blocking)) device.synchronize(current_stream(device));
}

at::Tensor copy_from(const at::Tensor& self, const at::Tensor& to, bool non_blocking) {
  at::Tensor destination = to;
  return copy_(destination, self, non_blocking);
}

// --- Views and storages

at::Tensor& set_storage(at::Tensor& self, at::Storage source, int64_t offset, at::IntArrayRef sizes,
                        at::IntArrayRef strides) {
  auto* const impl = self.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(std::move(source));
  impl->set_storage_offset(offset);
  if (strides.empty()) {
    impl->set_sizes_contiguous(sizes);
  } else {
    impl->set_sizes_and_strides(sizes, strides);
  }
  return self;
}

at::Tensor& set_whole_storage(at::Tensor& self, at::Storage source) {
  const auto count = static_cast<int64_t>(source.nbytes() / self.element_size());
  return set_storage(self, std::move(source), 0, {count}, {});
}

at::Tensor& set_tensor(at::Tensor& self, const at::Tensor& source) {
  return set_storage(self, source.storage(), source.storage_offset(), source.sizes(),
                     source.strides());
}

at::Tensor& set_nothing(at::Tensor& self) {
  return set_whole_storage(self, at::empty({0}, self.options()).storage());
}

at::Tensor strided_view(const at::Tensor& self, at::IntArrayRef sizes, at::IntArrayRef strides,
                        Optional<int64_t> offset) {
  auto made = at::detail::make_tensor<c10::TensorImpl>(
      c10::TensorImpl::VIEW, c10::Storage(self.storage()), self.key_set(), self.dtype());
  made.unsafeGetTensorImpl()->set_storage_offset(offset.value_or(self.storage_offset()));
  made.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides);
  return made;
}

at::Tensor view(const at::Tensor& self, at::IntArrayRef sizes) {
  return at::native::view(self, sizes);
}

at::Tensor reshape_alias(const at::Tensor& self, at::IntArrayRef sizes, at::IntArrayRef strides) {
  return strided_view(self, sizes, strides, kNone);
}

at::Tensor unfold(const at::Tensor& self, int64_t dim, int64_t size, int64_t step) {
  return at::native::unfold(self, dim, size, step);
}

void record_stream(at::Tensor& self, c10::Stream stream) {
  device_at(stream.device()).record(storage_begin(self), stream.id());
}

// --- Pinned memory

bool is_pinned_tensor(const at::Tensor& self, Optional<at::Device>) {
  return self.defined() && self.device().is_cpu() && is_pinned(self.data_ptr());
}

at::Tensor pin_memory(const at::Tensor& self, Optional<at::Device>) {
  const size_t bytes =
      at::detail::computeStorageNbytes(self.sizes(), self.strides(), self.element_size());
  auto made = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(c10::Storage::use_byte_size_t(), bytes, pinned_allocator(), false),
      c10::DispatchKeySet(c10::DispatchKey::CPU), self.dtype());
  made.unsafeGetTensorImpl()->set_sizes_and_strides(self.sizes(), self.strides());
  return made.copy_(self);
}

}  // namespace

bool is_on_device(const at::Tensor& tensor) {
  return tensor.defined() && is_simulated(tensor.device().type());
}

void* storage_begin(const at::Tensor& tensor) {
  return tensor.storage().unsafeGetStorageImpl()->data_ptr().get();
}

at::Tensor seen_by_device(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.layout() == c10::kStrided, "simulated device: only strided tensors");
  void* const begin = storage_begin(tensor);
  void* const memory = begin == nullptr ? nullptr : device_at(tensor.device()).behind(begin);
  return over(tensor, c10::Storage(c10::Storage::use_byte_size_t(), tensor.storage().nbytes(),
                                   c10::DataPtr(memory, c10::Device(c10::kCPU)), nullptr, false));
}

at::Tensor peek(const at::Tensor& tensor) { return seen_by_device(tensor.detach()).clone(); }

void queue(Device& device, Work work, std::function<void()> run) {
  const bool works = enter(work == Work::kCopy ? Call::kCopy : Call::kKernel);
  if (work == Work::kKernel) count([](Counts& counts) { ++counts.kernels; });
  device.queue(current_stream(device), work, !works, [run = std::move(run)] {
    const at::NoGradGuard no_grad;
    const at::AutoDispatchBelowADInplaceOrView below;
    run();
  });
}

void finish_quietly(Device& device) { device.stream(current_stream(device)).drain(); }

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides,
                         Optional<at::ScalarType> dtype, Optional<at::Layout>,
                         Optional<at::Device> device, Optional<bool> pin) {
  refuse_pinning(pin);
  const c10::DeviceGuard guard(device_of(device));
  return at::Tensor(at::detail::empty_strided_generic(
      sizes, strides, allocator_of(guard.current_device().type()), keys_of(guard.current_device()),
      c10::dtype_or_default(dtype)));
}

at::Tensor& copy_(at::Tensor& self, const at::Tensor& given, bool non_blocking) {
  if (self.is_same(given) || self.numel() == 0) return self;
  const at::Tensor source = given.sizes() == self.sizes() ? given : given.expand(self.sizes());
  if (is_on_device(self) && is_on_device(source)) {
    copy_on_devices(self, source);
    return self;
  }
  if (lie_alike(self, source)) {
    copy_with_host(self, source, non_blocking);
    return self;
  }
  // As CUDA: both ends packed, each on its own side, so a strided one takes memory there.
  const at::Tensor from = packed(source, self.scalar_type());
  if (self.is_contiguous()) {
    copy_with_host(self, from, non_blocking);
    return self;
  }
  const at::Tensor to = at::empty(self.sizes(), self.options());
  copy_with_host(to, from, non_blocking);
  return self.copy_(to, non_blocking);
}

const at::Tensor& resize_(const at::Tensor& self, at::IntArrayRef sizes,
                          Optional<at::MemoryFormat> format) {
  auto* const impl = self.unsafeGetTensorImpl();
  if (self.sizes() == sizes) return self;
  const size_t bytes = (static_cast<size_t>(c10::multiply_integers(sizes)) +
                        static_cast<size_t>(self.storage_offset())) *
                       self.element_size();
  auto* const storage = self.storage().unsafeGetStorageImpl();
  if (bytes > storage->nbytes()) {
    Device& device = device_at(self.device());
    const c10::DeviceGuard guard(device.name);
    c10::DataPtr fresh = allocator_of(device.name.type())->allocate(bytes);
    const size_t before = storage->nbytes();
    if (before > 0) {
      void* const to = device.behind(fresh.get());
      const void* const from = device.behind(storage->data_ptr().get());
      queue(device, Work::kKernel, [=] { std::memcpy(to, from, before); });
    }
    storage->set_data_ptr_noswap(std::move(fresh));
    storage->set_nbytes(bytes);
  }
  impl->set_sizes_contiguous(sizes);
  if (format.has_value() && *format != at::MemoryFormat::Preserve) {
    impl->empty_tensor_restride(*format);
  }
  return self;
}

void register_tensors(torch::Library& aten) {
  aten.impl("empty.memory_format", TORCH_FN(empty));
  aten.impl("empty_strided", TORCH_FN(empty_strided));
  aten.impl("copy_", TORCH_FN(copy_));
  aten.impl("_copy_from", TORCH_FN(copy_from));
  aten.impl("resize_", TORCH_FN(resize_));
  aten.impl("set_.source_Storage_storage_offset", TORCH_FN(set_storage));
  aten.impl("set_.source_Storage", TORCH_FN(set_whole_storage));
  aten.impl("set_.source_Tensor", TORCH_FN(set_tensor));
  aten.impl("set_", TORCH_FN(set_nothing));
  aten.impl("as_strided", TORCH_FN(strided_view));
  aten.impl("view", TORCH_FN(view));
  aten.impl("_reshape_alias", TORCH_FN(reshape_alias));
  aten.impl("unfold", TORCH_FN(unfold));
  aten.impl("record_stream", TORCH_FN(record_stream));
  aten.impl("is_pinned", TORCH_FN(is_pinned_tensor));
  aten.impl("_pin_memory", TORCH_FN(pin_memory));
}

}  // namespace simulated
