// What tests see of the simulated accelerator: memory that the host must not touch, streams that
// are threads, events, generators, pinned memory, and failures on order. README.md beside this file
// says how it works, and what only a real device can show.

#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/Stream.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace simulated {

/// One type of device that this process simulates. They come from the environment variable
/// SIMULATED_DEVICES: "cuda:2" (the default), "privateuseone:2", "cuda:1,privateuseone:1". A type
/// that is followed by "!", as in "mps!:1", has neither streams of its own nor events.
struct Kind {
  c10::DeviceType type;
  c10::DispatchKey key;
  int count;
  bool has_streams;
};
const std::vector<Kind>& kinds();
/// Device `index` of the first kind.
c10::Device device(int index = 0);

// --- What the product asked of the devices, all of them together.

struct Counts {
  size_t allocated = 0;         ///< Bytes of device memory that tensors hold.
  size_t peak = 0;              ///< The most since reset_counts().
  size_t pinned = 0;            ///< Bytes of pinned host memory that tensors hold.
  uint64_t copies_to_host = 0;  ///< Queued or done.
  uint64_t copies_to_device = 0;
  uint64_t copies_awaited = 0;  ///< Those, either way, for which the host waited.
  uint64_t kernels = 0;         ///< Copies on one device are among them.
  uint64_t events_recorded = 0;
  uint64_t stream_waits = 0;  ///< A stream was made to wait for an event.
  uint64_t host_waits = 0;    ///< The host waited for a stream or an event.
};
Counts counts();
/// What the calling thread alone has asked. What it holds is not told apart.
Counts counts_of_this_thread();
/// Sets all to zero, the calling thread's too, except what is allocated.
void reset_counts();

/// Sets how many bytes of memory a device has; 0, as at the start: no limit. An allocation above it
/// throws c10::OutOfMemoryError.
void set_limit(c10::Device device, size_t bytes);
/// Whether pinned memory can be had. It can at the start.
void set_pinned_memory(bool available);
/// Whether anything in this process has used the device.
bool in_use(c10::Device device);
/// Makes the states of generators 816 bytes long, as CUDA's are in LibTorch 1.13, instead of 16.
void set_long_generator_states(bool on);

// --- Which interleaving happens.

/// What a stream does.
enum class Work {
  kKernel,  ///< Computes, or copies on one device.
  kCopy,    ///< Copies from or to the host.
  kMarker,  ///< An event, or the end of a tensor's memory.
};

/// Stops streams, for as long as it lives or until `release`. What is queued behind waits.
class Hold {
 public:
  /// Stops every stream where it comes to work of this kind.
  explicit Hold(Work work);
  /// Stops one stream, at what is queued from now on.
  explicit Hold(const c10::Stream& stream);
  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  void release();
  /// Waits until a stream has come to it.
  void wait_until_reached();

 private:
  struct Gate;
  std::shared_ptr<Gate> gate_;
  friend class Gates;
};

/// Waits for all streams of all devices, without counting it. Drops failures that wait to be told.
void quiesce();
/// Waits until every stream has nothing to do, or waits itself: for an event, or for a Hold.
void settle();
/// What the device holds now, without waiting for its streams.
at::Tensor peek(const at::Tensor& tensor);

// --- Failures on order.

enum class Call {
  kAllocate,
  kAllocatePinned,
  kCopy,
  kKernel,
  kRecordEvent,
  kBlockStream,
  kSynchronize,
};
const char* name_of(Call call);

enum class Fault {
  kNow,    ///< The call throws. An allocation throws c10::OutOfMemoryError.
  kLater,  ///< The call queues work that fails: the next synchronisation of the device throws.
  kLost,   ///< The call throws, and so does every later one, until `heal`.
};
const char* name_of(Fault fault);

/// Counts the calls, and lets one fail: the one with this index, from now on, among all calls or
/// among those of one kind.
void arm(size_t index, Fault fault);
void arm(Call kind, size_t index, Fault fault = Fault::kNow);
/// Whether the armed fault has happened.
bool has_struck();
/// Ends what `arm` began. Nothing fails any longer.
void heal();

}  // namespace simulated
