// Copies tensors from devices without making the host wait. Of each device:
//
//   1. on the training's stream: a dense copy of each tensor on the device, then an event
//   2. in `fetch`, on a stream of its own that waits for the event: the copies to pinned memory
//   3. the host waits for that stream
//
// If the device has no room for 1, or if the caller waits anyway, nothing is allocated there at
// all:
//
//   1. on a stream of its own, which waits for the training's: the used bytes of each storage, gaps
//      included, to pinned memory; then an event, for which the training's stream waits
//   2. in `fetch`, the host waits for that stream, and packs the tensors in host memory

#include "state/snapshot/device_copies.h"

#include "compat/accelerator.h"
#include "format/tree/dense.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/torch.h>

#include <algorithm>
#include <map>
#include <utility>

#include <unistd.h>

namespace checkpoint::state {
namespace {

using format::StorageSpan;
using Copies = std::unordered_map<const c10::TensorImpl*, at::Tensor>;

void add_copy(Copies& copies, const at::Tensor& live, const at::Tensor& copy) {
  at::Tensor own = copy.detach();  // Twins share the memory, and may differ in requires_grad.
  own.set_requires_grad(live.requires_grad());
  copies.emplace(live.unsafeGetTensorImpl(), std::move(own));
}

// Returns, for each tensor, the index of the first one that is tied to it, or its own.
std::vector<size_t> find_twins(const std::vector<at::Tensor>& tensors) {
  std::unordered_multimap<const void*, size_t> known;  // By the address of their memory.
  std::vector<size_t> twin_of;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto [first, last] = known.equal_range(tensors[i].data_ptr());
    const auto twin = std::find_if(first, last, [&](const auto& one) {
      return format::are_tied(tensors[one.second], tensors[i]);
    });
    twin_of.push_back(twin != last ? twin->second : i);
    if (twin == last) known.emplace(tensors[i].data_ptr(), i);
  }
  return twin_of;
}

}  // namespace

// The tensors of one device.
class DeviceCopies::OneDevice {
 public:
  OneDevice(c10::Device where, std::vector<at::Tensor> live)
      : where_(where),
        impl_(where.type()),
        live_(std::move(live)),
        twin_of_(find_twins(live_)),
        side_(impl_.getStreamFromGlobalPool(where, /*isHighPriority=*/false)),
        ready_(where.type()) {}

  c10::Device where() const { return where_; }

  // The current device must be this one.
  void queue(Way way) {
    const c10::Stream training = impl_.getStream(where_);
    const bool is_copied = way == Way::kByDevice && copy_on_device();
    ready_.record(training);
    if (is_copied) return;
    ready_.block(side_);
    copy_spans_to_host();
    c10::Event copied(where_.type());
    copied.record(side_);
    copied.block(training);
  }

  void fetch(Copies& copies) {
    if (!on_device_.empty()) {
      ready_.block(side_);
      copy_clones_to_host();
    }
    side_.synchronize();
    is_done_ = true;
    on_device_.clear();  // Its memory goes back to training.
    std::vector<at::Tensor> made;
    for (size_t i = 0; i < live_.size(); ++i) {
      made.push_back(twin_of_[i] == i ? on_host(i) : made[twin_of_[i]]);
      add_copy(copies, live_[i], made[i]);
    }
  }

  // What is queued may still read the device's copies and write into host memory.
  void wait() noexcept {
    if (is_done_) return;
    try {
      side_.synchronize();
    } catch (const c10::Error&) {
      // The device does not say whether it still writes into this memory, so nobody may get it.
      static_cast<void>(new std::vector<at::Tensor>(std::move(on_host_)));
    }
  }

 private:
  // Copies on the current stream, so that what training queues later comes after the copy. Returns
  // false if the device has no room.
  bool copy_on_device() {
    try {
      for (size_t i = 0; i < live_.size(); ++i) {
        const bool is_first = twin_of_[i] == i;
        source_.push_back(is_first ? on_device_.size() : source_[twin_of_[i]]);
        if (is_first) on_device_.push_back(format::dense_clone(live_[i]));
      }
      return true;
    } catch (const c10::Error&) {
      on_device_.clear();  // Out of memory. Another failure shows again in copy_spans_to_host.
      source_.clear();
      return false;
    }
  }

  void copy_clones_to_host() {
    for (const at::Tensor& clone : on_device_) copy_to_host(clone);
  }

  // Each storage once, from the first byte to the last that a tensor uses.
  void copy_spans_to_host() {
    std::unordered_map<const void*, size_t> known;
    std::vector<const at::Tensor*> owners;
    for (const at::Tensor& tensor : live_) {
      const auto [entry, is_new] =
          known.emplace(tensor.storage().unsafeGetStorageImpl(), spans_.size());
      const StorageSpan span = format::span_of(tensor);
      if (is_new) {
        spans_.push_back(span);
        owners.push_back(&tensor);
      } else {
        StorageSpan& all = spans_[entry->second];
        all = {std::min(all.begin, span.begin), std::max(all.end, span.end)};
      }
      source_.push_back(entry->second);
    }
    for (size_t i = 0; i < spans_.size(); ++i) {
      copy_to_host(format::bytes_of_span(*owners[i], spans_[i]));
    }
  }

  // Returns live tensor `i`, dense, in host memory.
  at::Tensor on_host(size_t i) const {
    const at::Tensor& source = on_host_[source_[i]];
    return spans_.empty() ? source : format::from_span(source, spans_[source_[i]], live_[i]);
  }

  // Copies on the side stream.
  void copy_to_host(const at::Tensor& tensor) {
    const c10::StreamGuard guard(side_);
    at::Tensor host =
        compat::empty_for_copy(tensor.sizes(), tensor.strides(), tensor.scalar_type(), pinned_);
    on_host_.push_back(host);
    host.copy_(tensor, /*non_blocking=*/true);
  }

  const c10::Device where_;
  const c10::impl::VirtualGuardImpl impl_;
  const std::vector<at::Tensor> live_;  // Kept, so that their memory is not given to others.
  const std::vector<size_t> twin_of_;   // For each, the first that is tied to it, or itself.
  std::vector<size_t> source_;          // For each live tensor: which of `on_host_` has it.
  std::vector<at::Tensor> on_device_;   // Empty if the device has no room.
  std::vector<StorageSpan> spans_;      // Empty if it has.
  std::vector<at::Tensor> on_host_;
  c10::Stream side_;
  c10::Event ready_;
  bool pinned_ = true;  // Until pinned memory is not to be had.
  bool is_done_ = false;
};

DeviceCopies::DeviceCopies(const std::vector<at::Tensor>& live, Way way) : process_(::getpid()) {
  const torch::NoGradGuard no_grad;
  std::map<std::pair<c10::DeviceType, c10::DeviceIndex>, std::vector<at::Tensor>> by_device;
  for (const at::Tensor& tensor : live) {
    by_device[{tensor.device().type(), tensor.device().index()}].push_back(tensor);
  }
  try {
    for (auto& [name, tensors] : by_device) {
      const c10::Device where(name.first, name.second);
      compat::on_device("copy the state from " + where.str(), [&, &tensors = tensors] {
        const c10::DeviceGuard guard(where);
        devices_.emplace_back(where, std::move(tensors));
        devices_.back().queue(way);
      });
    }
  } catch (...) {
    for (OneDevice& device : devices_) device.wait();
    throw;
  }
}

DeviceCopies::~DeviceCopies() {
  if (process_ != ::getpid()) {
    static_cast<void>(new std::list<OneDevice>(std::move(devices_)));
    return;
  }
  for (OneDevice& device : devices_) device.wait();
}

Copies DeviceCopies::fetch() {
  const torch::NoGradGuard no_grad;
  Copies copies;
  for (OneDevice& device : devices_) {
    compat::on_device("copy the state from " + device.where().str(), [&] {
      const c10::DeviceGuard guard(device.where());
      device.fetch(copies);
    });
  }
  return copies;
}

}  // namespace checkpoint::state
