#include "compat/accelerator.h"
#include "format/decode/tensor_loader.h"
#include "format/open_content.h"
#include "format/read_file.h"
#include "format/safetensors/safetensors.h"
#include "format/tree/map_tensors.h"
#include "store/io/file.h"
#include "store/io/mapping.h"

#include <checkpoint/error.h>
#include <checkpoint/file.h>

#include <torch/torch.h>

#include <memory>
#include <string>

namespace checkpoint {
namespace {

at::Tensor to_device(const at::Tensor& tensor, c10::Device device) {
  if (device.is_cpu()) return tensor;
  const torch::NoGradGuard no_grad;
  return compat::on_device("copy a tensor to " + device.str(), [&] {
    return tensor.to(device).requires_grad_(tensor.requires_grad());
  });
}

Value load_file(const store::File& file, const LoadOptions& options) {
  const format::DecodedArchive archive = format::read_file(file);
  format::TensorLoader loader(file, archive,
                              options.mmap() ? std::make_shared<store::Mapping>(file) : nullptr);
  const auto load = [&](const at::Tensor& placeholder, const format::TensorPlace& place) {
    const c10::Device saved = archive.find(placeholder)->device;
    const std::string key = place.key();
    const c10::Device device = options.map_location().device_for(key, saved, saved);
    compat::check_device(device, key, file.name());
    return to_device(loader.load(placeholder), device);
  };
  return format::map_tensors(archive.tree(), "", nullptr, load);
}

}  // namespace

Value load(const std::string& path, const LoadOptions& options) {
  const format::OpenContent content(path);
  return load_file(content.file(), options);
}

std::map<std::string, std::string> load_metadata(const std::string& path) {
  const store::File file =
      store::File::open(store::posix_file_system(), path, store::Links::kFollowed);
  if (format::recognise(file) != Format::kSafetensors) return {};
  return format::read_safetensors_metadata(file);
}

}  // namespace checkpoint
