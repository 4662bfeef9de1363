#include "format/archive_reader.h"
#include "format/archive_writer.h"
#include "format/dense.h"
#include "format/device.h"
#include "format/map_tensors.h"
#include "store/atomic_file.h"
#include "store/file.h"
#include "store/names.h"
#include "store/verify.h"

#include <checkpoint/error.h>
#include <checkpoint/state_dict.h>

#include <torch/torch.h>

#include <string>

namespace checkpoint {
namespace {

at::Tensor to_device(const at::Tensor& tensor, c10::Device device) {
  if (device.is_cpu()) return tensor;
  const torch::NoGradGuard no_grad;
  return tensor.to(device).requires_grad_(tensor.requires_grad());
}

Value load_file(const store::ByteSource& file, const MapLocation& map_location) {
  const format::DecodedArchive archive = format::read_archive(file);
  const auto load = [&](const at::Tensor& placeholder, const format::TensorPlace& place) {
    const c10::Device saved = archive.find(placeholder)->device;
    const c10::Device device = map_location.device_for(place.key, saved, saved);
    format::check_device(device, place.key, file.name());
    return to_device(format::load_tensor(file, archive, placeholder), device);
  };
  return format::map_tensors(archive.tree(), "", nullptr, load);
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

void save(const Value& value, const std::string& path) {
  if (!ends_with(path, ".pt")) {
    throw Error(ErrorCode::kUnsupported, "the extension says no format that can be written", path,
                0, "Name the file .pt.");
  }
  format::Densifier densifier;
  const Value dense = densifier.densify(value, "");
  if (!dense.is_dict()) {
    throw Error(
        ErrorCode::kUnsupported,
        std::string("a LibTorch archive holds a dict, and this is a ") + to_string(dense.kind()),
        path, 0, "Put it into a Dict under a name.");
  }
  store::write_atomically(store::posix_file_system(), path, [&](store::ByteSink& sink) {
    format::write_archive(dense.dict(), sink);
  });
}

Value load(const std::string& path, const MapLocation& map_location) {
  store::FileSystem& fs = store::posix_file_system();
  if (S_ISDIR(store::look(fs, store::join(path, ".")).st_mode)) {
    const store::VerifiedCheckpoint checkpoint = store::verify_checkpoint(fs, path);
    return load_file(checkpoint.file(store::kArchiveFile), map_location);
  }
  return load_file(store::File::open(fs, path), map_location);
}

}  // namespace checkpoint
