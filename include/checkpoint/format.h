#pragma once

#include <checkpoint/export.h>
#include <checkpoint/map_location.h>

#include <map>
#include <string>
#include <type_traits>
#include <utility>

namespace checkpoint {

/// What a file looks like inside. docs/file-formats.md says what each can hold.
enum class Format {
  kArchive,      ///< ".pt": a LibTorch archive, which C++ and Python's torch.jit.load open.
  kPth,          ///< ".pth": as Python's torch.save writes it, for torch.load with its defaults.
  kSafetensors,  ///< ".safetensors": tensors by name, for any program.
};

/// How `save` writes.
class TORCH_CHECKPOINT_API SaveOptions {
 public:
  /// The format, whatever the path's extension is.
  SaveOptions& format(Format format) {
    format_ = format;
    has_format_ = true;
    return *this;
  }
  /// A safetensors file's metadata, beside {"format": "pt"}. Other formats refuse it:
  /// Error(unsupported).
  SaveOptions& metadata(std::map<std::string, std::string> metadata) {
    metadata_ = std::move(metadata);
    return *this;
  }

  /// Null if the extension is to say it.
  const Format* format() const { return has_format_ ? &format_ : nullptr; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  Format format_ = Format::kArchive;
  bool has_format_ = false;
  std::map<std::string, std::string> metadata_;
};

/// How `load` reads.
class TORCH_CHECKPOINT_API LoadOptions {
 public:
  LoadOptions() = default;
  /// With what a MapLocation is made from alone: `load(path, torch::kCPU)`.
  template <typename T, std::enable_if_t<std::is_convertible_v<T, MapLocation>, int> = 0>
  LoadOptions(T map_location) : map_location_(std::move(map_location)) {}

  /// Where the tensors go; by default to the device that each was saved from.
  LoadOptions& map_location(MapLocation map_location) {
    map_location_ = std::move(map_location);
    return *this;
  }
  /// Whether tensors of the CPU lie in a private mapping of the file, read as they are used,
  /// instead of memory of their own. They can be changed; the file never is. A file that is
  /// truncated meanwhile kills the process (SIGBUS), and no digest is checked. Default: false.
  LoadOptions& mmap(bool mmap) {
    mmap_ = mmap;
    return *this;
  }

  const MapLocation& map_location() const { return map_location_; }
  bool mmap() const { return mmap_; }

 private:
  MapLocation map_location_;
  bool mmap_ = false;
};

}  // namespace checkpoint
