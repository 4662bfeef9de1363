// Registers all of it with LibTorch before main: guards, kernels, and the hooks that each type of
// device has under a name of its own.

#include "device/simulated/torch.h"

#include <ATen/detail/CUDAHooksInterface.h>
#if SIMULATED_TORCH_2
#include <ATen/detail/MPSHooksInterface.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/detail/XPUHooksInterface.h>
#endif

#include <deque>
#include <memory>

namespace simulated {
namespace {

#if SIMULATED_TORCH_2

// What all accelerators are asked, in the interface that they share since 2.x.
template <typename Interface, c10::DeviceType kType>
class Hooks : public Interface {
 public:
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return kind_of(kType).count > 0; }
  bool hasPrimaryContext(c10::DeviceIndex index) const override {
    return device_at(name(index)).used();
  }
  c10::DeviceIndex deviceCount() const override {
    return static_cast<c10::DeviceIndex>(kind_of(kType).count);
  }
  c10::DeviceIndex getCurrentDevice() const override {
    return static_cast<c10::DeviceIndex>(current_device(kType));
  }
  void setCurrentDevice(c10::DeviceIndex index) const override { exchange_device(kType, index); }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex index) const override {
    return static_cast<c10::DeviceIndex>(exchange_device(kType, index));
  }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex index) const override {
    return exchangeDevice(index);
  }
  bool isPinnedPtr(const void* address) const override { return is_pinned(address); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return pinned_allocator(); }
  c10::Device getDeviceFromPtr(void* address) const override {
    const Device* const owner = owner_of(address);
    TORCH_CHECK(owner != nullptr, "not device memory");
    return owner->name;
  }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex index) const override {
    return default_generator(name(index));
  }
  at::Generator getNewGenerator(c10::DeviceIndex index) const override {
    return default_generator(name(index)).clone();
  }

 private:
  static c10::Device name(c10::DeviceIndex index) { return {kType, index}; }
};

class CudaHooks final : public Hooks<at::CUDAHooksInterface, c10::DeviceType::CUDA> {
 public:
  bool hasCUDA() const override { return true; }
  int getNumGPUs() const override { return deviceCount(); }
  c10::DeviceIndex current_device() const override { return getCurrentDevice(); }
  c10::Allocator* getCUDADeviceAllocator() const override { return allocator_of(c10::kCUDA); }
  void deviceSynchronize(c10::DeviceIndex index) const override {
    for (int64_t id = 0; id < kStreams; ++id) {
      device_at({c10::kCUDA, index}).synchronize(id);
    }
  }
};

class XpuHooks final : public Hooks<at::XPUHooksInterface, c10::DeviceType::XPU> {
 public:
  bool hasXPU() const override { return true; }
  c10::DeviceIndex getNumGPUs() const override { return deviceCount(); }
  c10::DeviceIndex current_device() const override { return getCurrentDevice(); }
};

class MpsHooks final : public Hooks<at::MPSHooksInterface, c10::DeviceType::MPS> {
 public:
  bool hasMPS() const override { return true; }
};

using PrivateUse1Hooks = Hooks<at::PrivateUse1HooksInterface, c10::DeviceType::PrivateUse1>;

#else

// 1.13 has hooks, pinned memory and generators for CUDA alone.
class CudaHooks final : public at::CUDAHooksInterface {
 public:
  void initCUDA() const override {}
  bool hasCUDA() const override { return true; }
  int getNumGPUs() const override { return kind_of(c10::kCUDA).count; }
  bool hasPrimaryContext(int64_t index) const override { return device_at(name(index)).used(); }
  int64_t current_device() const override { return simulated::current_device(c10::kCUDA); }
  bool isPinnedPtr(void* address) const override { return is_pinned(address); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return pinned_allocator(); }
  c10::Allocator* getCUDADeviceAllocator() const override { return allocator_of(c10::kCUDA); }
  const at::Generator& getDefaultCUDAGenerator(c10::DeviceIndex index) const override {
    return default_generator(name(index));
  }
  c10::Device getDeviceFromPtr(void* address) const override {
    const Device* const owner = owner_of(address);
    TORCH_CHECK(owner != nullptr, "not device memory");
    return owner->name;
  }
  void deviceSynchronize(int64_t index) const override {
    for (int64_t id = 0; id < kStreams; ++id) device_at(name(index)).synchronize(id);
  }

 private:
  static c10::Device name(int64_t index) {
    return {c10::kCUDA, static_cast<c10::DeviceIndex>(index)};
  }
};

#endif

}  // namespace

void register_hooks(const Kind& kind) {
  switch (kind.type) {
    case c10::DeviceType::CUDA:
      at::CUDAHooksRegistry()->Register("CUDAHooks", [](at::CUDAHooksArgs) {
        return std::unique_ptr<at::CUDAHooksInterface>(new CudaHooks());
      });
      break;
#if SIMULATED_TORCH_2
    case c10::DeviceType::XPU:
      at::XPUHooksRegistry()->Register(
          "XPUHooks", [] { return std::unique_ptr<at::XPUHooksInterface>(new XpuHooks()); });
      break;
    case c10::DeviceType::MPS:
      at::MPSHooksRegistry()->Register(
          "MPSHooks", [] { return std::unique_ptr<at::MPSHooksInterface>(new MpsHooks()); });
      break;
    case c10::DeviceType::PrivateUse1:
      at::RegisterPrivateUse1HooksInterface(new PrivateUse1Hooks());
      c10::register_privateuse1_backend("sim");  // Makes it the accelerator, which pins memory.
      break;
#endif
    default:
      break;
  }
}

namespace {

const bool g_registered = [] {
  static auto* const libraries = new std::deque<torch::Library>();
  for (const Kind& kind : kinds()) {
    register_guard(kind);
    register_hooks(kind);
    libraries->emplace_back(torch::Library::IMPL, "aten", kind.key, __FILE__, __LINE__);
    register_tensors(libraries->back());
    register_fused_kernels(libraries->back());
    libraries->emplace_back(torch::Library::IMPL, "_", kind.key, __FILE__, __LINE__);
    register_fallback(libraries->back());
  }
  return true;
}();

}  // namespace
}  // namespace simulated
