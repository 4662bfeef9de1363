// Inside the simulator: devices, their memory and their streams. The first half knows nothing of
// LibTorch but its names of devices; torch_*.cpp registers it all there.

#pragma once

#include "device/simulated/queue.h"
#include "device/simulated/simulated_device.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>

namespace simulated {

/// The streams of a device: the default one and a pool.
inline constexpr int kStreams = 9;

/// One device. Thread-safe.
class Device {
 public:
  Device(c10::Device name, bool has_streams);

  const c10::Device name;
  const bool has_streams;

  /// Returns an address that the host may only give back. Throws c10::OutOfMemoryError.
  void* allocate(size_t bytes, int64_t stream);
  /// The memory belongs to the stream again at once, as with CUDA's caching allocator: what is
  /// queued there later may overwrite it, and so it is overwritten. Other streams that use it have
  /// to be recorded first.
  void free(void* address);
  void record(void* address, int64_t stream);

  bool owns(const void* address) const;
  /// The memory behind an address that tensors hold.
  void* behind(const void* address) const;

  Queue& stream(int64_t id) { return streams_.at(static_cast<size_t>(id)); }
  int64_t next_stream() { return 1 + next_stream_++ % (kStreams - 1); }
  /// Queues work. An exception of it, or `fails`, is told at the next synchronisation.
  void queue(int64_t stream, Work work, bool fails, std::function<void()> run);
  /// Waits for a stream, then throws what has failed on the device.
  void synchronize(int64_t stream);
  /// The same for all its streams, without throwing.
  void drain();
  bool is_settled();
  void throw_failure();

  void set_limit(size_t bytes);
  bool used() const { return used_; }
  void use() { used_ = true; }

 private:
  struct Block {
    size_t bytes;
    std::set<int64_t> streams;  // Where it was allocated, and those that were recorded.
  };
  void give_back(char* address, size_t bytes);
  void fail(const std::string& why);

  char* addresses_ = nullptr;  // What tensors hold: never readable.
  char* memory_ = nullptr;
  std::array<Queue, kStreams> streams_;
  std::atomic<int64_t> next_stream_{0};
  std::atomic<bool> used_{false};
  std::mutex mutex_;  // For what follows.
  std::map<size_t, size_t> free_;
  std::map<char*, Block> live_;
  size_t limit_ = 0;
  size_t allocated_ = 0;
  std::string failure_;
};

/// Throws for one that does not exist. A device without an index: the current one of its type.
Device& device_at(c10::Device name);
/// The device that owns an address; null if none does.
Device* owner_of(const void* address);
const Kind& kind_of(c10::DeviceType type);
bool is_simulated(c10::DeviceType type);

/// The calling thread's current device of a type, and its current stream there.
int current_device(c10::DeviceType type);
int exchange_device(c10::DeviceType type, int index);
int64_t current_stream(const Device& device);
int64_t exchange_stream(Device& device, int64_t stream);

/// Counts a call. Throws, or returns false for work that is to fail later, if that was ordered.
bool enter(Call call);
bool is_lost();

/// Changes the counters.
void count(const std::function<void(Counts&)>& change);

void* allocate_pinned(size_t bytes);
void free_pinned(void* address);
bool is_pinned(const void* address);

/// A queued copy that uses pinned memory. Who frees the memory while one exists makes a mistake
/// that some allocators forgive (CUDA's) and others do not: the process then ends with an error.
class PinnedUse {
 public:
  explicit PinnedUse(const void* address);
  ~PinnedUse();
  PinnedUse(const PinnedUse&) = delete;
  PinnedUse& operator=(const PinnedUse&) = delete;

 private:
  const void* const address_;
};

bool has_long_generator_states();

}  // namespace simulated
