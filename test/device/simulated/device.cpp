#include "device/simulated/device.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sstream>
#include <thread>
#include <utility>

#include <sys/mman.h>

namespace simulated {
namespace {

constexpr size_t kRange = size_t{8} << 30;
constexpr size_t kAlignment = 512;  // As CUDA's caching allocator.
constexpr int kFreed = 0xDD;
constexpr int kPinnedBefore = 0xCD;

c10::DispatchKey key_of(c10::DeviceType type) {
  switch (type) {
    case c10::DeviceType::CUDA:
      return c10::DispatchKey::CUDA;
    case c10::DeviceType::XPU:
      return c10::DispatchKey::XPU;
    case c10::DeviceType::MPS:
      return c10::DispatchKey::MPS;
    case c10::DeviceType::PrivateUse1:
      return c10::DispatchKey::PrivateUse1;
    default:
      TORCH_CHECK(false, "SIMULATED_DEVICES: cannot simulate ", type);
  }
}

// "cuda:2" or "mps!:1".
Kind parse_kind(std::string text) {
  const size_t colon = text.find(':');
  TORCH_CHECK(colon != std::string::npos, "SIMULATED_DEVICES: a type without a number in ", text);
  const int count = std::atoi(text.c_str() + colon + 1);
  text.resize(colon);
  const bool has_streams = text.empty() || text.back() != '!';
  if (!has_streams) text.pop_back();
  const c10::DeviceType type = c10::Device(text).type();
  return {type, key_of(type), count, has_streams};
}

char* reserve(int protection) {
  void* const range =
      ::mmap(nullptr, kRange, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  TORCH_CHECK(range != MAP_FAILED, "simulated device: no range of addresses");
  return static_cast<char*>(range);
}

struct PinnedBlock {
  size_t bytes = 0;
  int uses = 0;
};
struct Pinned {
  std::mutex mutex;
  std::map<const char*, PinnedBlock> live;
  bool available = true;
  int freed_in_use = 0;
};
Pinned& pinned() {
  static auto* const all = new Pinned();
  return *all;
}

std::mutex g_counts_mutex;
Counts g_counts;
thread_local Counts t_counts;
std::atomic<bool> g_long_states{false};

constexpr size_t kTypes = static_cast<size_t>(c10::COMPILE_TIME_MAX_DEVICE_TYPES);
thread_local std::array<int, kTypes> t_device{};
thread_local std::map<const Device*, int64_t> t_stream;

void end() {
  quiesce();
  if (pinned().freed_in_use == 0) return;
  std::fprintf(stderr,
               "simulated device: pinned memory was freed %d times before a copy had ended\n",
               pinned().freed_in_use);
  std::_Exit(1);
}

// The block that holds an address. The mutex must be held.
std::map<const char*, PinnedBlock>::iterator block_of(const void* address) {
  const auto* const at = static_cast<const char*>(address);
  const auto after = pinned().live.upper_bound(at);
  if (after == pinned().live.begin()) return pinned().live.end();
  const auto block = std::prev(after);
  return at < block->first + block->second.bytes ? block : pinned().live.end();
}

std::vector<Device*>& devices() {
  static auto* const all = [] {
    auto* made = new std::vector<Device*>();
    for (const Kind& kind : kinds()) {
      for (int i = 0; i < kind.count; ++i) {
        made->push_back(
            new Device(c10::Device(kind.type, static_cast<c10::DeviceIndex>(i)), kind.has_streams));
      }
    }
    std::atexit(end);  // Before LibTorch's own statics end.
    return made;
  }();
  return *all;
}

}  // namespace

const std::vector<Kind>& kinds() {
  static auto* const all = [] {
    auto* made = new std::vector<Kind>();
    const char* const text = std::getenv("SIMULATED_DEVICES");
    std::istringstream list(text != nullptr && *text != '\0' ? text : "cuda:2");
    for (std::string one; std::getline(list, one, ',');) made->push_back(parse_kind(one));
    return made;
  }();
  return *all;
}

c10::Device device(int index) {
  return c10::Device(kinds().front().type, static_cast<c10::DeviceIndex>(index));
}

Device::Device(c10::Device its_name, bool streams)
    : name(its_name),
      has_streams(streams),
      addresses_(reserve(PROT_NONE)),
      memory_(reserve(PROT_READ | PROT_WRITE)) {
  free_[0] = kRange;
}

void* Device::allocate(size_t bytes, int64_t stream) {
  enter(Call::kAllocate);
  use();
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const std::lock_guard<std::mutex> hold(mutex_);
  TORCH_CHECK_WITH(OutOfMemoryError, limit_ == 0 || allocated_ + rounded <= limit_,
                   "simulated device error: out of memory on ", name, ": ", rounded,
                   " bytes asked for, ", allocated_, " of ", limit_, " are taken");
  const auto place = std::find_if(free_.begin(), free_.end(),
                                  [&](const auto& gap) { return gap.second >= rounded; });
  TORCH_CHECK_WITH(OutOfMemoryError, place != free_.end(), "simulated device: out of addresses");
  const size_t at = place->first, rest = place->second - rounded;
  free_.erase(place);
  if (rest > 0) free_[at + rounded] = rest;
  live_[addresses_ + at] = {rounded, {stream}};
  allocated_ += rounded;
  count([&](Counts& counts) {
    counts.allocated += rounded;
    counts.peak = std::max(counts.peak, counts.allocated);
  });
  return addresses_ + at;
}

void Device::free(void* address) {
  Block block;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    const auto found = live_.find(static_cast<char*>(address));
    if (found == live_.end()) return;
    block = std::move(found->second);
    live_.erase(found);
    allocated_ -= block.bytes;
  }
  count([&](Counts& counts) { counts.allocated -= block.bytes; });
  const auto left = std::make_shared<std::atomic<size_t>>(block.streams.size());
  for (const int64_t id : block.streams) {
    stream(id).push(Work::kMarker, [this, address, bytes = block.bytes, left] {
      if (--*left == 0) give_back(static_cast<char*>(address), bytes);
    });
  }
}

// Overwrites the memory, and joins it with its free neighbours.
void Device::give_back(char* address, size_t bytes) {
  size_t at = static_cast<size_t>(address - addresses_);
  std::memset(memory_ + at, kFreed, bytes);
  const std::lock_guard<std::mutex> hold(mutex_);
  auto next = free_.lower_bound(at);
  if (next != free_.end() && at + bytes == next->first) {
    bytes += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == at) {
      before->second += bytes;
      return;
    }
  }
  free_[at] = bytes;
}

void Device::record(void* address, int64_t stream) {
  const std::lock_guard<std::mutex> hold(mutex_);
  const auto found = live_.find(static_cast<char*>(address));
  if (found != live_.end()) found->second.streams.insert(stream);
}

bool Device::owns(const void* address) const {
  const auto* const at = static_cast<const char*>(address);
  return at >= addresses_ && at < addresses_ + kRange;
}

void* Device::behind(const void* address) const {
  return memory_ + (static_cast<const char*>(address) - addresses_);
}

void Device::queue(int64_t id, Work work, bool fails, std::function<void()> run) {
  use();
  stream(id).push(work, [this, fails, run = std::move(run)] {
    if (fails) return fail("what was queued failed, on order");
    try {
      run();
    } catch (const c10::Error& error) {
      fail(error.what_without_backtrace());
    } catch (const std::exception& error) {
      fail(error.what());
    }
  });
}

void Device::fail(const std::string& why) {
  const std::lock_guard<std::mutex> hold(mutex_);
  if (failure_.empty()) failure_ = why;
}

void Device::throw_failure() {
  std::string failure;
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    failure.swap(failure_);
  }
  TORCH_CHECK(failure.empty(), "simulated device error: ", failure);
}

void Device::synchronize(int64_t id) {
  count([](Counts& counts) { ++counts.host_waits; });
  try {
    enter(Call::kSynchronize);
  } catch (const c10::Error&) {
    if (is_lost()) stream(id).drain();  // It does nothing any more.
    throw;
  }
  stream(id).drain();
  throw_failure();
}

void Device::drain() {
  for (Queue& stream : streams_) stream.drain();
}

bool Device::is_settled() {
  return std::all_of(streams_.begin(), streams_.end(),
                     [](Queue& stream) { return stream.is_settled(); });
}

void Device::set_limit(size_t bytes) {
  const std::lock_guard<std::mutex> hold(mutex_);
  limit_ = bytes;
}

Device& device_at(c10::Device name) {
  const int index = name.has_index() ? name.index() : current_device(name.type());
  for (Device* device : devices()) {
    if (device->name.type() == name.type() && device->name.index() == index) return *device;
  }
  TORCH_CHECK(false, "simulated device error: no such device: ", name);
}

Device* owner_of(const void* address) {
  for (Device* device : devices()) {
    if (device->owns(address)) return device;
  }
  return nullptr;
}

bool is_simulated(c10::DeviceType type) {
  return std::any_of(kinds().begin(), kinds().end(),
                     [&](const Kind& kind) { return kind.type == type; });
}

const Kind& kind_of(c10::DeviceType type) {
  for (const Kind& kind : kinds()) {
    if (kind.type == type) return kind;
  }
  TORCH_CHECK(false, "simulated device error: ", type, " is not simulated here");
}

int current_device(c10::DeviceType type) { return t_device.at(static_cast<size_t>(type)); }

int exchange_device(c10::DeviceType type, int index) {
  int& current = t_device.at(static_cast<size_t>(type));
  return index < 0 ? current : std::exchange(current, index);
}

int64_t current_stream(const Device& device) { return t_stream[&device]; }

int64_t exchange_stream(Device& device, int64_t stream) {
  device.use();
  return std::exchange(t_stream[&device], stream);
}

void* allocate_pinned(size_t bytes) {
  if (bytes == 0) return nullptr;
  enter(Call::kAllocatePinned);
  {
    const std::lock_guard<std::mutex> hold(pinned().mutex);
    TORCH_CHECK(pinned().available, "simulated device error: no pinned memory");
  }
  void* address = nullptr;
  if (::posix_memalign(&address, 4096, bytes) != 0) throw std::bad_alloc();
  std::memset(address, kPinnedBefore, bytes);  // What is read before the copy has come is nonsense.
  const std::lock_guard<std::mutex> hold(pinned().mutex);
  pinned().live[static_cast<char*>(address)] = {bytes, 0};
  count([&](Counts& counts) { counts.pinned += bytes; });
  return address;
}

void free_pinned(void* address) {
  if (address == nullptr) return;
  {
    const std::lock_guard<std::mutex> hold(pinned().mutex);
    const auto block = pinned().live.find(static_cast<char*>(address));
    count([&](Counts& counts) { counts.pinned -= block->second.bytes; });
    if (block->second.uses > 0) {
      ++pinned().freed_in_use;
      return;  // It leaks, so that the copy does no harm.
    }
    pinned().live.erase(block);
  }
  std::free(address);
}

bool is_pinned(const void* address) {
  const std::lock_guard<std::mutex> hold(pinned().mutex);
  return block_of(address) != pinned().live.end();
}

PinnedUse::PinnedUse(const void* address) : address_(address) {
  const std::lock_guard<std::mutex> hold(pinned().mutex);
  ++block_of(address_)->second.uses;
}

PinnedUse::~PinnedUse() {
  const std::lock_guard<std::mutex> hold(pinned().mutex);
  --block_of(address_)->second.uses;
}

bool has_long_generator_states() { return g_long_states; }

void count(const std::function<void(Counts&)>& change) {
  change(t_counts);
  const std::lock_guard<std::mutex> hold(g_counts_mutex);
  change(g_counts);
}

// --- For tests

Counts counts() {
  const std::lock_guard<std::mutex> hold(g_counts_mutex);
  return g_counts;
}

Counts counts_of_this_thread() { return t_counts; }

void reset_counts() {
  count([](Counts& counts) {
    Counts fresh;
    fresh.allocated = fresh.peak = counts.allocated;
    fresh.pinned = counts.pinned;
    counts = fresh;
  });
}

void set_limit(c10::Device name, size_t bytes) { device_at(name).set_limit(bytes); }

void set_pinned_memory(bool available) {
  const std::lock_guard<std::mutex> hold(pinned().mutex);
  pinned().available = available;
}

bool in_use(c10::Device name) { return device_at(name).used(); }

void set_long_generator_states(bool on) { g_long_states = on; }

void settle() {
  for (Device* device : devices()) {
    while (!device->is_settled()) std::this_thread::yield();
  }
}

void quiesce() {
  for (Device* device : devices()) {
    device->drain();
    try {
      device->throw_failure();
    } catch (const c10::Error&) {
    }
  }
}

}  // namespace simulated
