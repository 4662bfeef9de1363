#include "format/map_tensors.h"
#include "format/read_file.h"
#include "format/safetensors.h"
#include "format/tensor_loader.h"
#include "store/file.h"
#include "store/mapping.h"
#include "store/verify.h"

#include <checkpoint/error.h>
#include <checkpoint/state_dict.h>

#include <torch/torch.h>

#include <memory>
#include <string>

namespace checkpoint {
namespace {

at::Tensor to_device(const at::Tensor& tensor, c10::Device device, const std::string& path) {
  if (device.is_cpu()) return tensor;
  const std::string hint = "Pass torch::kCPU, or another map_location.";
  if (device.is_cuda() && !torch::cuda::is_available()) {
    throw Error(ErrorCode::kIncompatible,
                "a tensor belongs on " + device.str() + ", and there is no CUDA here", path, 0,
                hint);
  }
  try {
    const torch::NoGradGuard no_grad;
    return tensor.to(device).requires_grad_(tensor.requires_grad());
  } catch (const c10::Error& error) {
    throw Error(ErrorCode::kIncompatible,
                "a tensor belongs on " + device.str() +
                    ", and LibTorch cannot put it there: " + error.what_without_backtrace(),
                path, 0, hint);
  }
}

Value load_file(const store::File& file, const LoadOptions& options) {
  const format::DecodedArchive archive = format::read_file(file);
  format::TensorLoader loader(file, archive,
                              options.mmap() ? std::make_shared<store::Mapping>(file) : nullptr);
  return format::map_tensors(archive.tree(), [&](const at::Tensor& placeholder) {
    const c10::Device saved = archive.find(placeholder)->device;
    return to_device(loader.load(placeholder), options.map_location().device_for(saved, saved),
                     file.name());
  });
}

bool is_directory(store::FileSystem& fs, const std::string& path) {
  return S_ISDIR(store::look(fs, store::join(path, ".")).st_mode);
}

}  // namespace

Value load(const std::string& path, const LoadOptions& options) {
  store::FileSystem& fs = store::posix_file_system();
  if (is_directory(fs, path)) {
    const store::VerifiedCheckpoint checkpoint = store::verify_checkpoint(fs, path);
    return load_file(checkpoint.content(), options);
  }
  return load_file(store::File::open(fs, path), options);
}

Value load(const std::string& path, const MapLocation& map_location) {
  return load(path, LoadOptions().map_location(map_location));
}

std::map<std::string, std::string> load_metadata(const std::string& path) {
  const store::File file = store::File::open(store::posix_file_system(), path);
  if (format::recognise(file) != Format::kSafetensors) return {};
  return format::read_safetensors_metadata(file);
}

}  // namespace checkpoint
