#pragma once

#include <c10/core/Device.h>

#include <string>

namespace checkpoint::compat {

/// Throws Error(incompatible), naming the tensor and the file, if this machine does not have the
/// device to which a tensor must go.
void check_device(c10::Device device, const std::string& key, const std::string& path);

}  // namespace checkpoint::compat
