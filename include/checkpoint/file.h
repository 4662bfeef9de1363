#pragma once

#include <checkpoint/export.h>
#include <checkpoint/format.h>
#include <checkpoint/map_location.h>
#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>
#include <torch/ordered_dict.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace checkpoint {

/// The options of `save` for single files.
class TORCH_CHECKPOINT_API SaveOptions {
 public:
  /// The format. Default: the path's extension decides.
  SaveOptions& format(Format format) {
    format_ = format;
    return *this;
  }
  /// The metadata of a safetensors file, in addition to {"format": "pt"}. Other formats refuse it
  /// with Error(unsupported).
  SaveOptions& metadata(std::map<std::string, std::string> metadata) {
    metadata_ = std::move(metadata);
    return *this;
  }

  /// Divides a model into several files (shards) of at most this many bytes, as Hugging Face's
  /// libraries do. A larger tensor gets a file of its own. See `save`. Their own limit is 5 GB,
  /// which is 5'000'000'000. For safetensors files, and for Format::kPth if the path ends with
  /// ".bin". Default: one file.
  SaveOptions& max_shard_size(uint64_t bytes) {
    max_shard_size_ = bytes;
    return *this;
  }

  /// Returns the format. Empty: the file's extension decides.
  std::optional<Format> format() const { return format_; }
  /// Returns the metadata.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Returns the size of a file, in bytes. Empty: all goes into one file.
  std::optional<uint64_t> max_shard_size() const { return max_shard_size_; }

 private:
  std::optional<Format> format_;
  std::optional<uint64_t> max_shard_size_;
  std::map<std::string, std::string> metadata_;
};

/// The options of `load` and `load_weights`.
class TORCH_CHECKPOINT_API LoadOptions {
 public:
  /// Loads each tensor to the device that it was saved from.
  LoadOptions() = default;
  /// Takes anything that converts to a MapLocation: `load(path, torch::kCPU)`.
  template <typename T, std::enable_if_t<std::is_convertible_v<T, MapLocation>, int> = 0>
  LoadOptions(T map_location) : map_location_(std::move(map_location)) {}

  /// Where the tensors go. Default: to the device that each was saved from.
  LoadOptions& map_location(MapLocation map_location) {
    map_location_ = std::move(map_location);
    return *this;
  }
  /// Whether CPU tensors map the file instead of having memory of their own. Their bytes are then
  /// read when they are used. The tensors can be changed; the file is never changed. If the file is
  /// truncated while they are in use, the process is killed (SIGBUS). Digests are not checked.
  /// Default: false.
  LoadOptions& mmap(bool mmap) {
    mmap_ = mmap;
    return *this;
  }

  /// Returns where the tensors go.
  const MapLocation& map_location() const { return map_location_; }
  /// Returns whether the file is mapped.
  bool mmap() const { return mmap_; }

 private:
  MapLocation map_location_;
  bool mmap_ = false;
};

/// Dotted name to tensor, in the module's order: "encoder.0.weight". Python calls it a state_dict.
class StateDict : public torch::OrderedDict<std::string, at::Tensor> {
 public:
  using OrderedDict::OrderedDict;
  /// Makes an empty one.
  StateDict() = default;
  /// Makes one with these entries.
  StateDict(OrderedDict entries) : OrderedDict(std::move(entries)) {}

  /// Returns the dotted names of the modules without tensors, such as a ReLU. LibTorch's own `load`
  /// asks for each submodule, so a ".pt" file names these too.
  const std::vector<std::string>& empty_modules() const { return empty_modules_; }
  /// Sets these names.
  StateDict& empty_modules(std::vector<std::string> names) {
    empty_modules_ = std::move(names);
    return *this;
  }

 private:
  std::vector<std::string> empty_modules_;
};

/// Saves a tree of values in one file, which appears whole or not at all. The extension gives the
/// format, unless the options do. ".pt" is a LibTorch archive, for C++ and `torch.jit.load`. ".pth"
/// is for Python's `torch.load`. ".safetensors" is for any program. Tensors are written as CPU
/// tensors. Missing directories are created.
///
/// With Format::kDcp, `path` is a directory of PyTorch's Distributed Checkpoint, which must not
/// exist or be empty. The value must be a dict. Integer keys become strings.
///
/// An older file is replaced. The new one takes its permissions, and also its owner and group if
/// the system allows that. A write-protected file is refused, also for root.
///
/// With `max_shard_size`, "…/model.safetensors" becomes "…/model-00001-of-00003.safetensors" and so
/// on, and "…/model.safetensors.index.json", which says what is in them. If everything fits into
/// one file, the path itself is written. `load` takes the path, the index or the directory. Files
/// of an earlier save to the same path are replaced. The new model is there when its index is: a
/// crash never leaves old and new files that look like one model. Of tied tensors only one name is
/// written, and the metadata notes the others; loading gives all of them.
///
/// Throws Error: no_space, io, device. Throws Error(unsupported) for another extension, or for a
/// tensor or name that the format cannot hold (docs/file-formats.md).
TORCH_CHECKPOINT_API void save(const Value& value, const std::string& path,
                               const SaveOptions& options = {});
/// Saves a StateDict in one file, as above. A ".pt" file is laid out as torch::save lays out a
/// module, for `torch::load(module, path)`.
TORCH_CHECKPOINT_API void save(const StateDict& dict, const std::string& path,
                               const SaveOptions& options = {});

/// Reads a file as a tree of values. The file's content decides how it is read, not its name. No
/// code of the file is run. The file may be
///
/// - a LibTorch archive, written by `save`, by torch::save or as TorchScript (then its weights are
///   read);
/// - a .pth file of Python's torch.save, of any version, also before 1.6;
/// - a safetensors file;
/// - the index of a model in several files, such as "model.safetensors.index.json" or
///   "pytorch_model.bin.index.json", with its shards in the same directory.
///
/// `path` may also be the directory of such a model, of the files that PyTorch's
/// HuggingFaceStorageWriter writes for each rank, or of a checkpoint. A checkpoint's digests are
/// verified. Or it may be a directory of PyTorch's Distributed Checkpoint (1.13 to 2.14): sharded
/// tensors are put together, and an optimizer's integer keys, which DCP makes strings, are integers
/// again.
///
/// Each tensor goes to the device that it was saved from, or to where the options' map_location
/// says. Throws Error: not_found, corrupt, unsupported, io, device. Throws Error(incompatible) for
/// a file with CUDA tensors if CUDA is not available: pass torch::kCPU.
TORCH_CHECKPOINT_API Value load(const std::string& path, const LoadOptions& options = {});

/// Reads the tensors of such a file by dotted names. List indices and integer keys become numbers.
/// Other values are left out. With `item`, returns only the tensors below that name, without it:
/// `load_weights("runs/digits/latest", torch::kCPU, "model")`. Throws as `load` does, and
/// Error(not_found) if the file does not have this item.
TORCH_CHECKPOINT_API StateDict load_weights(const std::string& path,
                                            const LoadOptions& options = {},
                                            const std::string& item = {});

/// Returns the metadata of a safetensors file or of an index, without the entry that this library
/// adds. Empty for a file of another format. Throws as `load` does.
TORCH_CHECKPOINT_API std::map<std::string, std::string> load_metadata(const std::string& path);

}  // namespace checkpoint
