// Copies a capture's tensors into memory of its own, so that training can continue. Tensors in host
// memory go into the arena, in chunks, on all cores. Tensors on a device go through DeviceCopies,
// which are queued first: the device copies while the host does. Tied tensors are copied once.

#include "state/snapshot/snapshot.h"

#include "base/digest.h"
#include "base/parallel.h"
#include "base/stream_copy.h"
#include "format/tree/path.h"
#include "state/snapshot/device_copies.h"

#include <torch/torch.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace checkpoint::state {
namespace {

// The alignment of LibTorch's own allocations.
constexpr size_t kAlignment = 64;

// One chunk of a copy, for one thread.
struct Chunk {
  const char* from;
  char* to;
  size_t bytes;
};

size_t room_for(const at::Tensor& tensor) {
  return (format::bytes_of(tensor) + kAlignment - 1) / kAlignment * kAlignment;
}

// Returns the tensors of a tree that have to be copied, tied ones once.
std::vector<at::Tensor> shared_tensors(const Capture& captured) {
  std::vector<at::Tensor> shared;
  std::unordered_set<const c10::TensorImpl*> known;
  format::for_each_tensor(captured.tree, format::Path(), [&](const Value& entry, const auto&) {
    const at::Tensor& tensor = entry.to_tensor();
    // A copy that is still on a device must come to the host too.
    const bool is_copy =
        tensor.device().is_cpu() && captured.copies.count(tensor.unsafeGetTensorImpl()) != 0;
    if (is_copy || tensor.numel() == 0) return;
    if (known.insert(tensor.unsafeGetTensorImpl()).second) shared.push_back(tensor);
  });
  return shared;
}

void copy_all(const std::vector<Chunk>& chunks) {
  base::parallel_for(chunks.size(), [&](base::Indices& indices) {
    for (size_t i = 0; indices.next(i);) {
      base::stream_copy(chunks[i].to, chunks[i].from, chunks[i].bytes);
    }
  });
}

void replace(Capture& captured,
             const std::unordered_map<const c10::TensorImpl*, at::Tensor>& copies) {
  format::for_each_tensor(captured.tree, format::Path(), [&](Value& entry, const auto&) {
    const auto copy = copies.find(entry.to_tensor().unsafeGetTensorImpl());
    if (copy != copies.end()) entry = copy->second;
  });
}

}  // namespace

Snapshot::Snapshot() = default;
Snapshot::~Snapshot() = default;

void Snapshot::take(Capture& captured) {
  devices_.reset();
  std::vector<at::Tensor> on_host;
  std::vector<at::Tensor> on_devices;
  // The copy of the tensor that begins at each address.
  std::unordered_map<const void*, at::Tensor> by_memory;
  size_t bytes = 0;
  for (const at::Tensor& tensor : shared_tensors(captured)) {
    const bool is_on_host = tensor.device().is_cpu();
    (is_on_host ? on_host : on_devices).push_back(tensor);
    if (is_on_host && by_memory.emplace(tensor.data_ptr(), at::Tensor()).second) {
      bytes += room_for(tensor);
    }
  }
  char* place = arena_.reserve(bytes);
  // Queued before the host copies: the device copies at the same time.
  if (!on_devices.empty()) devices_ = std::make_unique<DeviceCopies>(on_devices);

  std::vector<Chunk> chunks;
  std::unordered_map<const c10::TensorImpl*, at::Tensor> copies;
  for (const at::Tensor& live : on_host) {
    at::Tensor& same_memory = by_memory.at(live.data_ptr());
    if (same_memory.defined()) {  // The same memory, with another requires_grad.
      at::Tensor twin = same_memory.detach();
      twin.set_requires_grad(live.requires_grad());
      copies.emplace(live.unsafeGetTensorImpl(), std::move(twin));
      continue;
    }
    const auto* const from = static_cast<const char*>(live.data_ptr());
    const size_t size = format::bytes_of(live);
    for (size_t at = 0; at < size; at += base::kChunkBytes) {
      chunks.push_back({from + at, place + at, std::min(base::kChunkBytes, size - at)});
    }
    at::Tensor copy = at::from_blob(place, live.sizes(), live.strides(),
                                    at::TensorOptions().dtype(live.scalar_type()));
    copy.set_requires_grad(live.requires_grad());
    same_memory = copy;
    copies.emplace(live.unsafeGetTensorImpl(), std::move(copy));
    place += room_for(live);
  }
  copy_all(chunks);
  replace(captured, copies);
}

void Snapshot::take_from_devices(const Capture& captured) {
  devices_.reset();
  if (captured.devices.empty()) return;
  std::vector<at::Tensor> on_devices;
  for (const at::Tensor& tensor : shared_tensors(captured)) {
    if (!tensor.device().is_cpu()) on_devices.push_back(tensor);
  }
  if (on_devices.empty()) return;
  devices_ = std::make_unique<DeviceCopies>(on_devices, DeviceCopies::Way::kStraightToHost);
}

void Snapshot::fetch(Capture& captured) {
  if (!devices_) return;
  replace(captured, devices_->fetch());
  devices_.reset();
}

void Snapshot::release() {
  devices_.reset();
  arena_.release();
}

}  // namespace checkpoint::state
