#include "compat/accelerator.h"

#include "compat/torch_compat.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <new>
#include <string>

// Since 2.5, LibTorch asks all accelerators by one interface.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 5)
#define TORCH_CHECKPOINT_HAS_ACCELERATOR_HOOKS 1
#else
#define TORCH_CHECKPOINT_HAS_ACCELERATOR_HOOKS 0
#endif

namespace checkpoint::compat {
namespace {

constexpr int64_t kSeedAndOffsetBytes = 16;

bool is_accelerator(c10::DeviceType type) {
  return type != c10::kCPU && type != c10::kMeta && c10::impl::hasDeviceGuardImpl(type);
}

size_t device_count(c10::DeviceType type) {
  if (!is_accelerator(type)) return 0;
  return static_cast<size_t>(c10::impl::getDeviceGuardImpl(type)->deviceCount());
}

// The interface has no question for it: its functions throw where a backend lacks them.
bool try_streams(c10::Device device) {
  try {
    const c10::impl::VirtualGuardImpl impl(device.type());
    c10::Event event(device.type());
    event.record(impl.getStream(device));
    event.block(impl.getStreamFromGlobalPool(device, false));
    return true;
  } catch (const c10::Error&) {
    return false;
  }
}

// Whether this process has used the device. Throws where the backend does not say.
bool is_in_use(c10::Device device) {
#if TORCH_CHECKPOINT_HAS_ACCELERATOR_HOOKS
  return at::globalContext()
      .getAcceleratorHooksInterface(device.type())
      .hasPrimaryContext(device.index());
#else
  return device.is_cuda() && at::detail::getCUDAHooks().hasPrimaryContext(device.index());
#endif
}

// As rename_privateuse1_backend allows it.
bool is_backend_name(const std::string& text) {
  constexpr char kFirst[] = "abcdefghijklmnopqrstuvwxyz_";
  constexpr char kAll[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
  return !text.empty() && text.find_first_of(kFirst) == 0 &&
         text.find_first_not_of(kAll) == std::string::npos;
}

// 0 to 99, without a leading zero.
std::optional<c10::DeviceIndex> parse_index(const std::string& text) {
  const bool is_number = text.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number || text.empty() || text.size() > 2 || (text.size() == 2 && text[0] == '0')) {
    return std::nullopt;
  }
  return static_cast<c10::DeviceIndex>(std::stoi(text));
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string name_of(c10::DeviceType type) {
  return type == c10::kCUDA ? "CUDA" : c10::DeviceTypeName(type, /*lower_case=*/true);
}

}  // namespace

bool has_streams(c10::Device device) {
  if (!is_accelerator(device.type())) return false;
  static std::mutex mutex;
  static std::map<c10::DeviceType, bool> known;
  const std::lock_guard<std::mutex> hold(mutex);
  const auto entry = known.find(device.type());
  if (entry != known.end()) return entry->second;
  return known.emplace(device.type(), try_streams(device)).first->second;
}

bool may_lack_storage(c10::Device device) { return !device.is_cpu() && !has_streams(device); }

at::Tensor empty_for_copy(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType dtype,
                          bool& pinned) {
  const auto options = at::TensorOptions().dtype(dtype).device(at::kCPU);
  if (pinned) {
    try {
      return at::empty_strided(sizes, strides, options.pinned_memory(true));
    } catch (const c10::Error&) {
    } catch (const std::bad_alloc&) {
    }
    pinned = false;
  }
  try {
    return at::empty_strided(sizes, strides, options);
  } catch (const c10::Error&) {  // Host memory, which is not the device's failure.
    throw std::bad_alloc();
  }
}

void check_device(c10::Device device, const std::string& key, const std::string& path) {
  if (device.is_cpu() || device.is_meta()) return;
  const size_t count = device_count(device.type());
  if (count > 0 && (!device.has_index() || static_cast<size_t>(device.index()) < count)) return;
  throw Error(ErrorCode::kIncompatible,
              "the tensor '" + key + "' must go to " + device.str() + ", but " +
                  (count == 0 ? name_of(device.type()) + " is not available"
                              : "this machine does not have that device"),
              path, 0, "Pass torch::kCPU or another map_location.");
}

std::optional<c10::Device> device_of(const std::string& name) {
  try {
    return c10::Device(name);
  } catch (const c10::Error&) {
  }
  const size_t colon = std::min(name.find(':'), name.size());
  if (!is_backend_name(name.substr(0, colon))) return std::nullopt;
  if (colon == name.size()) return c10::Device(c10::DeviceType::PrivateUse1);
  const std::optional<c10::DeviceIndex> index = parse_index(name.substr(colon + 1));
  if (!index) return std::nullopt;
  return c10::Device(c10::DeviceType::PrivateUse1, *index);
}

std::vector<c10::Device> devices_with_generators_in_use() {
  std::vector<c10::Device> devices;
  for (int8_t type = 0; type < static_cast<int8_t>(c10::COMPILE_TIME_MAX_DEVICE_TYPES); ++type) {
    const size_t count = device_count(static_cast<c10::DeviceType>(type));
    for (size_t index = 0; index < count; ++index) {
      const c10::Device device(static_cast<c10::DeviceType>(type),
                               static_cast<c10::DeviceIndex>(index));
      try {
        if (is_in_use(device) && default_generator(device).defined()) devices.push_back(device);
      } catch (const c10::Error&) {
        break;  // This backend does not say, or has no generator.
      }
    }
  }
  return devices;
}

at::Generator default_generator(c10::Device device) {
  return at::globalContext().defaultGenerator(device);
}

bool generator_state_fits(c10::Device device, int64_t saved_bytes, int64_t live_bytes) {
  return saved_bytes == live_bytes ||
         (device.is_cuda() && std::min(saved_bytes, live_bytes) >= kSeedAndOffsetBytes);
}

at::Tensor convert_generator_state(const at::Tensor& saved, const at::Tensor& live) {
  if (saved.numel() == live.numel()) return saved;
  at::Tensor result = live.clone();
  result.slice(0, live.numel() - kSeedAndOffsetBytes)
      .copy_(saved.slice(0, saved.numel() - kSeedAndOffsetBytes));
  return result;
}

Error device_error(const c10::Error& error, const std::string& what) {
  const bool is_full = dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr;
  return Error(ErrorCode::kDevice,
               "cannot " + what + ": " + first_line(error.what_without_backtrace()), "", 0,
               is_full ? "Free memory on the device, or use a smaller batch."
                       : "If the device has failed for good, start the program again: it resumes "
                         "from the last checkpoint.");
}

}  // namespace checkpoint::compat
