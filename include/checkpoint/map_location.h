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
/// Otherwise the live tensor moves to the device that this names for the device it was saved from,
/// as after `module->to(device)`; an optimizer's state follows its parameter.
class CHECKPOINT_API MapLocation {
 public:
  using Function = std::function<std::optional<c10::Device>(const c10::Device& saved)>;

  MapLocation() = default;
  /// Every tensor goes to `device`.
  MapLocation(c10::Device device);
  MapLocation(c10::DeviceType type) : MapLocation(c10::Device(type)) {}
  /// Saved device to new device; a saved device that is not listed stays where the live tensor is.
  MapLocation(std::map<std::string, c10::Device> devices);
  /// Called with each tensor's saved device; no answer means that the live tensor's device wins.
  template <typename F, typename = std::enable_if_t<std::is_invocable_r_v<
                            std::optional<c10::Device>, F, const c10::Device&>>>
  MapLocation(F function) : function_(std::move(function)) {}

  /// The device for a tensor that was saved from `saved` and lives on `live` now.
  c10::Device device_for(const c10::Device& saved, const c10::Device& live) const;

 private:
  Function function_;
};

}  // namespace checkpoint
