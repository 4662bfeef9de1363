#pragma once

#include <checkpoint/export.h>
#include <checkpoint/format.h>
#include <checkpoint/map_location.h>
#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>
#include <torch/ordered_dict.h>

#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace checkpoint {

/// How `save` writes.
class TORCH_CHECKPOINT_API SaveOptions {
 public:
  /// The format, whatever the path's extension is.
  SaveOptions& format(Format format) {
    format_ = format;
    return *this;
  }
  /// A safetensors file's metadata, beside {"format": "pt"}. Other formats refuse it:
  /// Error(unsupported).
  SaveOptions& metadata(std::map<std::string, std::string> metadata) {
    metadata_ = std::move(metadata);
    return *this;
  }

  /// Empty: the file's extension decides.
  std::optional<Format> format() const { return format_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  std::optional<Format> format_;
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

/// Dotted name to tensor, in the module's order: "encoder.0.weight". What Python calls a
/// state_dict.
class StateDict : public torch::OrderedDict<std::string, at::Tensor> {
 public:
  using OrderedDict::OrderedDict;
  StateDict() = default;
  StateDict(OrderedDict entries) : OrderedDict(std::move(entries)) {}

  /// The modules that hold nothing (a ReLU), by dotted names. LibTorch's own `load` asks for each
  /// of a module's submodules, so a ".pt" file names these too.
  const std::vector<std::string>& empty_modules() const { return empty_modules_; }
  StateDict& empty_modules(std::vector<std::string> names) {
    empty_modules_ = std::move(names);
    return *this;
  }

 private:
  std::vector<std::string> empty_modules_;
};

/// Saves a tree of values, or a StateDict, in one file that appears whole or not at all. The
/// extension says the format (Format), unless the options do: ".pt" is a LibTorch archive, which
/// C++ and `torch.jit.load` open (a StateDict is laid out in it as torch::save lays a module out,
/// for `torch::load(module, path)`); ".pth" is for Python's `torch.load`; ".safetensors" is for
/// anybody. Tensors are written as those of the CPU. Missing directories are created. An older file
/// is replaced, and leaves its permissions to the new one, its owner and group too where the system
/// allows that; a write-protected one is refused, also for root. Throws Error: no_space, io,
/// unsupported (another extension; a tensor or name that the format cannot hold:
/// docs/file-formats.md).
TORCH_CHECKPOINT_API void save(const Value& value, const std::string& path,
                               const SaveOptions& options = {});
TORCH_CHECKPOINT_API void save(const StateDict& dict, const std::string& path,
                               const SaveOptions& options = {});

/// Reads a file as a tree of values: a LibTorch archive (of `save`, of plain torch::save, of
/// TorchScript: its weights), a .pth file of Python's torch.save (of any version, also of before
/// 1.6), a safetensors file. What it is, its content says, not its name. Runs no code, whatever the
/// file holds. `path` may be a CheckpointManager's checkpoint: then its digests are verified.
/// Tensors go to the device they were saved from, or where the options' map_location says, whose
/// keys are those of the file. Throws Error: not_found, corrupt, unsupported, incompatible (a CUDA
/// file where there is no CUDA: pass torch::kCPU), io.
TORCH_CHECKPOINT_API Value load(const std::string& path, const LoadOptions& options = {});

/// The tensors of such a file by dotted names (list indices and integer keys as numbers), other
/// values left out. With `item`, only those below that name, which is cut off:
/// `load_weights("runs/digits/latest", torch::kCPU, "model")`. Throws as `load`, and
/// Error(not_found) if there is no such item.
TORCH_CHECKPOINT_API StateDict load_weights(const std::string& path,
                                            const LoadOptions& options = {},
                                            const std::string& item = {});

/// The metadata of a safetensors file, without what this library adds to it; empty for a file of
/// another format. Throws as `load`.
TORCH_CHECKPOINT_API std::map<std::string, std::string> load_metadata(const std::string& path);

}  // namespace checkpoint
