#pragma once

#include <checkpoint/export.h>

#include <c10/core/Device.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <type_traits>

namespace checkpoint {

/// Where restored tensors go, like Python's `map_location`. If empty, each live tensor stays on its
/// device. Otherwise the key of a live tensor and the device that it was saved from give its new
/// device. It moves there as `module->to(device)` does, and loses its gradient. An optimizer's
/// state always follows its parameter.
class TORCH_CHECKPOINT_API MapLocation {
  // Whether a function takes the saved device alone.
  template <typename F>
  static constexpr bool kHearsDevice =
      std::is_invocable_r_v<std::optional<c10::Device>, F&, const c10::Device&>;
  // Whether a function takes the key and the saved device.
  template <typename F>
  static constexpr bool kHearsKey =
      std::is_invocable_r_v<std::optional<c10::Device>, F&, const std::string&, const c10::Device&>;

 public:
  /// A function from a tensor's key and saved device to its new device. If it returns nothing, the
  /// tensor stays where it is.
  using Function =
      std::function<std::optional<c10::Device>(const std::string& key, const c10::Device& saved)>;

  /// Leaves each live tensor where it is.
  MapLocation() = default;
  /// Moves every tensor to `device`.
  MapLocation(c10::Device device);
  /// Moves every tensor to the current device of this type: `torch::kCUDA`.
  MapLocation(c10::DeviceType type) : MapLocation(c10::Device(type)) {}
  /// Maps saved devices to new ones: `{{"cuda:1", torch::kCPU}}`. A tensor that was saved from a
  /// device that is not listed stays where the live tensor is.
  MapLocation(std::map<std::string, c10::Device> devices);
  /// Calls the function with each tensor's key ("model.encoder.0.weight") and saved device, or with
  /// the saved device alone, whichever it takes. If it returns nothing, the tensor stays where it
  /// is.
  template <typename F, std::enable_if_t<kHearsDevice<F> || kHearsKey<F>, int> = 0>
  MapLocation(F function) {
    if constexpr (kHearsKey<F>) {
      function_ = std::move(function);
    } else {
      function_ = [function = std::move(function)](
                      const std::string&,
                      const c10::Device& saved) mutable -> std::optional<c10::Device> {
        return function(saved);
      };
    }
  }

  /// Returns the device for a tensor with this key that was saved from `saved` and is on `live`
  /// now.
  c10::Device device_for(const std::string& key, const c10::Device& saved,
                         const c10::Device& live) const;

 private:
  Function function_;
};

}  // namespace checkpoint
