#include "compat/device.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

namespace checkpoint::compat {

void check_device(c10::Device device, const std::string& key, const std::string& path) {
  if (!device.is_cuda()) return;
  const size_t count = torch::cuda::is_available() ? torch::cuda::device_count() : 0;
  if (count > 0 && (!device.has_index() || static_cast<size_t>(device.index()) < count)) return;
  throw Error(ErrorCode::kIncompatible,
              "the tensor '" + key + "' belongs on " + device.str() + ", and there is " +
                  (count == 0 ? "no CUDA" : "no such device") + " here",
              path, 0, "Pass torch::kCPU, or another map_location.");
}

}  // namespace checkpoint::compat
