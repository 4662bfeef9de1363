#pragma once

#include <checkpoint/export.h>

#include <c10/core/Device.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <type_traits>

namespace checkpoint {

/// Where restored tensors go, as Python's `map_location`. Empty, the live tensors' devices win.
/// Otherwise the live tensor moves to the device that this names for its key and the device it was
/// saved from, as after `module->to(device)`. An optimizer's state is not asked for: it goes where
/// its parameter is after the restore.
class TORCH_CHECKPOINT_API MapLocation {
  template <typename F>
  static constexpr bool kHearsDevice =
      std::is_invocable_r_v<std::optional<c10::Device>, F&, const c10::Device&>;
  template <typename F>
  static constexpr bool kHearsKey =
      std::is_invocable_r_v<std::optional<c10::Device>, F&, const std::string&, const c10::Device&>;

 public:
  using Function =
      std::function<std::optional<c10::Device>(const std::string& key, const c10::Device& saved)>;

  MapLocation() = default;
  /// Every tensor goes to `device`.
  MapLocation(c10::Device device);
  MapLocation(c10::DeviceType type) : MapLocation(c10::Device(type)) {}
  /// Saved device to new device; a saved device that is not listed stays where the live tensor is.
  MapLocation(std::map<std::string, c10::Device> devices);
  /// Called with each tensor's key ("model.encoder.0.weight") and saved device, or with the saved
  /// device alone, as the function takes them; no answer means that the live tensor's device wins.
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

  /// The device for a tensor with this key that was saved from `saved` and lives on `live` now.
  c10::Device device_for(const std::string& key, const c10::Device& saved,
                         const c10::Device& live) const;

 private:
  Function function_;
};

}  // namespace checkpoint
