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

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint {
namespace {

at::Tensor to_device(const at::Tensor& tensor, c10::Device device) {
  if (device.is_cpu()) return tensor;
  const torch::NoGradGuard no_grad;
  return compat::on_device("copy a tensor to " + device.str(), [&] {
    return tensor.to(device).requires_grad_(tensor.requires_grad());
  });
}

// Loads one placeholder on the CPU.
using LoadTensor = std::function<at::Tensor(const at::Tensor& placeholder)>;

LoadTensor loader_of(const format::OpenContent& content, const format::DecodedArchive& archive,
                     const LoadOptions& options) {
  const format::ShardedModel* const sharded = content.sharded();
  const std::vector<store::ContentFile> contents = content.files();
  if (sharded == nullptr && contents.size() > 1) {
    return [contents, &archive](const at::Tensor& placeholder) {
      const auto file = [&](size_t i) -> const store::ByteSource& { return *contents.at(i).file; };
      return format::load_tensor(file, archive, placeholder);
    };
  }
  std::vector<format::LoaderFile> files;
  for (size_t i = 0; i < contents.size(); ++i) {
    const store::File& file = sharded != nullptr ? sharded->file(i) : content.file();
    files.push_back(
        {*contents[i].file, options.mmap() ? std::make_shared<store::Mapping>(file) : nullptr});
  }
  const auto loader = std::make_shared<format::TensorLoader>(std::move(files), archive);
  return [loader](const at::Tensor& placeholder) { return loader->load(placeholder); };
}

}  // namespace

Value load(const std::string& path, const LoadOptions& options) {
  const format::OpenContent content(path);
  const format::DecodedArchive archive = content.decode();
  const LoadTensor load_on_cpu = loader_of(content, archive, options);
  const auto load = [&](const at::Tensor& placeholder, const format::TensorPlace& place) {
    const c10::Device saved = archive.find(placeholder)->device;
    const std::string key = place.key();
    const c10::Device device = options.map_location().device_for(key, saved, saved);
    compat::check_device(device, key, content.name());
    return to_device(load_on_cpu(placeholder), device);
  };
  return format::map_tensors(archive.tree(), "", nullptr, load);
}

std::map<std::string, std::string> load_metadata(const std::string& path) {
  const format::OpenContent content(path, Verify::kNever);
  if (content.sharded() != nullptr) {
    auto metadata = content.sharded()->metadata();
    metadata.erase(format::kTreeKey);
    return metadata;
  }
  if (!content.is_single_file() || format::recognise(content.file()) != Format::kSafetensors) {
    return {};
  }
  return format::read_safetensors_metadata(content.file());
}

}  // namespace checkpoint
