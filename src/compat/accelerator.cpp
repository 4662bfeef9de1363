#include "compat/device.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

namespace checkpoint::compat {

void check_device(c10::Device device, const std::string& key, const std::string& path) {
  if (!device.is_cuda()) return;
  const size_t count = torch::cuda::is_available() ? torch::cuda::device_count() : 0;
  if (count > 0 && (!device.has_index() || static_cast<size_t>(device.index()) < count)) return;
  throw Error(ErrorCode::kIncompatible,
              "the tensor '" + key + "' must go to " + device.str() + ", but " +
                  (count == 0 ? "CUDA is not available" : "this machine does not have that device"),
              path, 0, "Pass torch::kCPU or another map_location.");
}

}  // namespace checkpoint::compat
