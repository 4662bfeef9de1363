#include <checkpoint/map_location.h>

#include "base/user_call.h"

#include <utility>

namespace checkpoint {

MapLocation::MapLocation(c10::Device device)
    : function_([device](const std::string&, const c10::Device&) { return device; }) {}

MapLocation::MapLocation(std::map<std::string, c10::Device> devices)
    : function_([devices = std::move(devices)](
                    const std::string&, const c10::Device& saved) -> std::optional<c10::Device> {
        const auto found = devices.find(saved.str());
        if (found == devices.end()) return std::nullopt;
        return found->second;
      }) {}

c10::Device MapLocation::device_for(const std::string& key, const c10::Device& saved,
                                    const c10::Device& live) const {
  if (!function_) return live;
  const std::optional<c10::Device> chosen =
      base::call_user("the function given to map_location", [&] { return function_(key, saved); });
  return chosen ? *chosen : live;
}

}  // namespace checkpoint
