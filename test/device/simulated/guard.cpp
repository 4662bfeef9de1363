// Memory, streams and events, as c10 asks for them.

#include "device/simulated/torch.h"

#include <c10/core/CPUAllocator.h>

#include <cstring>
#include <memory>

namespace simulated {
namespace {

#if SIMULATED_TORCH_2
#define SIMULATED_CONST
#else
#define SIMULATED_CONST const
#endif

class DeviceAllocator final : public c10::Allocator {
 public:
  explicit DeviceAllocator(c10::DeviceType type) : type_(type) {}

  c10::DataPtr allocate(size_t bytes) SIMULATED_CONST override {
    Device& device = device_at(c10::Device(type_));
    if (bytes == 0) return {nullptr, nullptr, &release, device.name};
    void* const address = device.allocate(bytes, current_stream(device));
    return {address, address, &release, device.name};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
#if SIMULATED_TORCH_2
  void copy_data(void*, const void*, size_t) const override {
    TORCH_CHECK(false, "simulated device: copy_data");
  }
#endif

 private:
  static void release(void* address) {
    if (Device* const device = owner_of(address)) device->free(address);
  }
  const c10::DeviceType type_;
};

class PinnedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) SIMULATED_CONST override {
    void* const address = allocate_pinned(bytes);
    return {address, address, &free_pinned, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_pinned; }
#if SIMULATED_TORCH_2
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
#endif
};

struct Event {
  std::shared_ptr<Marker> last;
  Device* device;
};

class Guard final : public c10::impl::DeviceGuardImplInterface {
 public:
  explicit Guard(const Kind& kind) : kind_(kind) {}

  c10::DeviceType type() const override { return kind_.type; }
  c10::Device exchangeDevice(c10::Device device) const override {
    return name(exchange_device(kind_.type, device.index()));
  }
  c10::Device getDevice() const override { return name(current_device(kind_.type)); }
  void setDevice(c10::Device device) const override { exchange_device(kind_.type, device.index()); }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    exchange_device(kind_.type, device.index());
  }
  c10::DeviceIndex deviceCount() const noexcept override {
    return static_cast<c10::DeviceIndex>(kind_.count);
  }

  c10::Stream getStream(c10::Device device) const noexcept override {
    const Device& where = device_at(device);
    return stream(where, current_stream(where));
  }
  c10::Stream getDefaultStream(c10::Device device) const override {
    return stream(device_at(device), 0);
  }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool) const override {
    require_streams();
    Device& where = device_at(device);
    return stream(where, where.next_stream());
  }
#if SIMULATED_TORCH_2
  c10::Stream getNewStream(c10::Device device, int) const override {
    return getStreamFromGlobalPool(device, false);
  }
#endif
  c10::Stream exchangeStream(c10::Stream next) const noexcept override {
    Device& where = device_at(next.device());
    return stream(where, exchange_stream(where, next.id()));
  }
  bool queryStream(const c10::Stream& asked) const override {
    return device_at(asked.device()).stream(asked.id()).is_idle();
  }
  void synchronizeStream(const c10::Stream& awaited) const override {
    device_at(awaited.device()).synchronize(awaited.id());
  }
  void recordDataPtrOnStream(const c10::DataPtr& data, const c10::Stream& used) const override {
    if (data.get() != nullptr) device_at(used.device()).record(data.get(), used.id());
  }

  void destroyEvent(void* event, const c10::DeviceIndex) const noexcept override {
    delete static_cast<Event*>(event);
  }
  void record(void** event, const c10::Stream& at, const c10::DeviceIndex index,
              const c10::EventFlag) const override {
    require_streams();
    TORCH_CHECK(index == -1 || index == at.device_index(), "simulated device: an event of device ",
                index, " cannot be recorded on device ", at.device_index());
    const bool works = enter(Call::kRecordEvent);
    Device& where = device_at(at.device());
    if (*event == nullptr) *event = new Event();
    auto* const recorded = static_cast<Event*>(*event);
    *recorded = {std::make_shared<Marker>(), &where};
    count([](Counts& counts) { ++counts.events_recorded; });
    const auto marker = recorded->last;
    if (!works) where.queue(at.id(), Work::kMarker, true, [] {});
    where.stream(at.id()).push(Work::kMarker, [marker] { marker->set(); });
  }
  void block(void* event, const c10::Stream& waiting) const override {
    require_streams();
    if (event == nullptr) return;
    const bool works = enter(Call::kBlockStream);
    Device& where = device_at(waiting.device());
    count([](Counts& counts) { ++counts.stream_waits; });
    const auto marker = static_cast<Event*>(event)->last;
    if (!works) where.queue(waiting.id(), Work::kMarker, true, [] {});
    where.stream(waiting.id()).push(Work::kMarker, [marker] { marker->wait(); });
  }
  bool queryEvent(void* event) const override {
    return event == nullptr || static_cast<Event*>(event)->last->is_set();
  }
#if SIMULATED_TORCH_2
  void synchronizeEvent(void* event) const override {
    if (event == nullptr) return;
    count([](Counts& counts) { ++counts.host_waits; });
    enter(Call::kSynchronize);
    static_cast<Event*>(event)->last->wait();
    static_cast<Event*>(event)->device->throw_failure();
  }
  void synchronizeDevice(const c10::DeviceIndex index) const override {
    for (int64_t id = 0; id < kStreams; ++id) {
      device_at(name(index)).synchronize(id);
    }
  }
#endif

 private:
  c10::Device name(int index) const { return {kind_.type, static_cast<c10::DeviceIndex>(index)}; }
  static c10::Stream stream(const Device& device, int64_t id) {
    return c10::Stream(c10::Stream::UNSAFE, device.name, static_cast<c10::StreamId>(id));
  }
  void require_streams() const {
    TORCH_CHECK(kind_.has_streams, "Backend doesn't support acquiring a stream from pool.");
  }

  const Kind kind_;
};

}  // namespace

c10::Allocator* allocator_of(c10::DeviceType type) { return c10::GetAllocator(type); }

c10::Allocator* pinned_allocator() {
  static auto* const made = new PinnedAllocator();
  return made;
}

void register_guard(const Kind& kind) {
  c10::SetAllocator(kind.type, new DeviceAllocator(kind.type));
  // The registrar is a static object in LibTorch itself; this one is never freed.
  new c10::impl::DeviceGuardImplRegistrar(kind.type, new Guard(kind));
}

}  // namespace simulated
