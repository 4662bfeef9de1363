#pragma once

#include "format/decode/decoded.h"
#include "format/tree/map_tensors.h"
#include "state/plan/selection.h"
#include "state/plan/shards.h"
#include "store/directory/verify.h"
#include "store/io/segments.h"

#include <checkpoint/error.h>
#include <checkpoint/manifest.h>
#include <checkpoint/map_location.h>
#include <checkpoint/restore.h>

#include <ATen/core/Tensor.h>

#include <exception>
#include <functional>
#include <memory_resource>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace checkpoint::state {

/// The device that a placeholder's tensor was saved from.
using SavedDevices = std::function<c10::Device(const format::StoredTensor&)>;

/// Where the tensors of a saved tree come from. In a tree from decoded files, each tensor is a
/// placeholder. In a tree from memory, each tensor is the data itself. What this points to must
/// outlive the restore.
struct TensorSource {
  std::vector<store::ContentFile> files;  ///< By StoredTensor::file. Empty: from memory.
  format::DecodedArchive* archive = nullptr;
  SavedDevices saved_devices;

  /// Returns where a placeholder's data is; null for a tensor from memory.
  const format::StoredTensor* find(const at::Tensor& tensor) const {
    return archive != nullptr ? archive->find(tensor) : nullptr;
  }
  c10::Device saved_device(const at::Tensor& tensor) const {
    const format::StoredTensor* stored = find(tensor);
    return stored != nullptr ? saved_devices(*stored) : tensor.device();
  }
  at::Tensor load(const at::Tensor& tensor) const {
    const format::StoredTensor* stored = find(tensor);
    if (stored == nullptr) return tensor;
    const auto file = [&](size_t index) -> const store::ByteSource& {
      return *files.at(index).file;
    };
    return format::load_tensor(file, *archive, tensor);
  }
  /// Returns a part of a saved tensor, as a placeholder or, from memory, as a view.
  at::Tensor part(const at::Tensor& tensor, at::IntArrayRef at, at::IntArrayRef sizes) const {
    if (find(tensor) != nullptr) return archive->part(tensor, at, sizes);
    return format::view_of_part(tensor, at, sizes);
  }
  /// Returns the path for errors that concern all files: the first file's. Empty for memory.
  const std::string& name() const {
    static const std::string kMemory;
    return files.empty() ? kMemory : files.front().file->name();
  }
};

/// The error of a restore that fails when part of the live state is already written.
class HalfRestored : public Error {
 public:
  using Error::Error;
};

/// What a restore will do. Items first compare and add to the plan; no live object changes. If
/// everything fits, `run` does it: the steps that may throw, then the tensors, then what cannot
/// fail.
class RestorePlan {
 public:
  /// All must outlive the plan.
  RestorePlan(const TensorSource& source, const RestoreOptions& options,
              const std::vector<Shard>& shards = {});

  const RestoreOptions& options() const { return options_; }
  /// Returns what the options choose.
  const Selection& selection() const { return selection_; }
  Selection& selection() { return selection_; }

  void missing(const std::string& key) { report_.missing.push_back(key); }
  void unexpected(const std::string& key) { report_.unexpected.push_back(key); }
  void mismatched(const std::string& key, const std::string& why) {
    report_.mismatched.push_back(key + ": " + why);
  }
  /// Reports that a saved value has another kind than the live one. `here` is "a tensor", for
  /// instance.
  void wrong_kind(const std::string& key, const char* here, const Value& saved) {
    mismatched(key, std::string(here) + " here, and a " + kind_text(saved) + " saved");
  }
  void ignored_item(const std::string& name) { report_.ignored_items.push_back(name); }
  /// Reports that an item is missing, and which items were saved.
  void missing_item(const std::string& name, std::vector<std::string> file_items) {
    missing(name);
    report_.file_items = std::move(file_items);
  }

  /// Plans to write a saved tensor into a live one, which keeps its identity, strides and
  /// requires_grad. map_location may give it memory on another device. The shapes must be equal,
  /// and the dtypes too, except with convert_dtype. A shard takes its part of the saved tensor.
  void restore_in_place(at::Tensor live, const at::Tensor& saved, const std::string& key);
  /// Sets whether the live tensors that are planned from now on may be shards. Of an item that each
  /// rank has for itself, all of a tensor is saved, also if it is a part for another item.
  void divide(bool value) { divides_ = value; }
  /// Returns the sizes that a live tensor has in a checkpoint: of the whole, if it is a shard.
  at::IntArrayRef whole_sizes(const at::Tensor& live) const;
  /// Returns what belongs to this rank of a saved tensor, if its live counterpart is a shard.
  /// Otherwise returns all of it. Throws Error(incompatible) if the whole has other sizes.
  at::Tensor own_part(const at::Tensor& placeholder, const at::Tensor& live) const;
  at::Tensor own_part(const at::Tensor& placeholder, const format::TensorPlace& place) const {
    return place.counterpart != nullptr ? own_part(placeholder, *place.counterpart) : placeholder;
  }
  /// Returns whether a live tensor has memory for its elements. If not, the report says so.
  bool has_memory(const at::Tensor& live, const std::string& key);
  /// Returns whether a saved tensor can be written into the live one: dtype, shape, layout and
  /// memory fit. If not, the report says so.
  bool fits(const at::Tensor& live, const at::Tensor& placeholder, const std::string& key);
  /// Plans to read a saved tensor into new memory, which is allocated now. It is on the device that
  /// map_location gives for the key, or else on `device`.
  at::Tensor restore_new(const at::Tensor& placeholder, const std::string& key, c10::Device device);
  /// Plans to read a saved tensor into `reuse` if that has its dtype, shape and strides, and is on
  /// `device`. Otherwise uses new memory there.
  at::Tensor restore_like(const at::Tensor& placeholder, const at::Tensor& reuse,
                          c10::Device device);
  /// Returns the device of a live tensor after the restore.
  c10::Device device_after(const at::Tensor& live) const;
  /// Returns the device for a saved tensor with this key, if its live counterpart is on `live`.
  c10::Device device_for(const at::Tensor& placeholder, const std::string& key,
                         c10::Device live) const;
  /// Records that something else than this plan will move a live tensor to `device`.
  void note_move(const at::Tensor& live, c10::Device device);
  /// Reads a small saved tensor at once, into new CPU memory.
  at::Tensor load(const at::Tensor& placeholder) const;

  /// Adds a step that may throw. `undo` takes it back if this step or a later one throws.
  void add_step(std::function<void()> apply, std::function<void()> undo) {
    steps_.push_back({std::move(apply), std::move(undo)});
  }
  /// Plans to set a leaf's requires_grad, last.
  void set_requires_grad(const at::Tensor& live, bool wanted) {
    requires_grad_.emplace_back(live, wanted);
  }
  /// Adds an action that cannot throw. It runs last.
  void add_final(std::function<void()> action) { final_.push_back(std::move(action)); }

  const RestoreReport& report() const { return report_; }
  /// Checks that everything fits. If not, throws Error(incompatible) with the whole report in
  /// strict mode, and otherwise logs a warning. `path` is named in both.
  void require_fit(const std::string& path) const;

  /// Runs the plan. If reading fails, some live tensors are already overwritten. Throws
  /// HalfRestored then: with the code corrupt if a digest differs or the file's content is damaged,
  /// device if a device failed, io otherwise.
  /// Calls `before_writing` when only the tensors' bytes and what cannot fail are left to write. If
  /// it throws, nothing has changed.
  void run(const std::function<void()>& before_writing = {});

 private:
  // A place in the source's files: the file's index, and the byte in it.
  using FileOffset = std::pair<size_t, uint64_t>;
  struct Copy {
    at::Tensor to;
    at::Tensor placeholder;
    bool direct;         // Read straight into the tensor's memory, not through another tensor.
    FileOffset at = {};  // If direct: where its bytes are.
  };
  struct Step {
    std::function<void()> apply;
    std::function<void()> undo;
  };

  const Shard* shard_of(const at::Tensor& live) const {
    return divides_ ? shards_.find(live) : nullptr;
  }
  std::string conversion_loss(const at::Tensor& live, const at::Tensor& placeholder) const;
  bool can_be_read(const at::Tensor& saved, const at::Tensor& live, const std::string& key);
  void add_copy(const at::Tensor& to, const at::Tensor& placeholder);
  [[noreturn]] void throw_half_restored(ErrorCode code, const std::string& why) const;
  void run_steps();
  void undo_steps(size_t done);
  void order_overlapping();
  void read_direct();
  std::vector<std::vector<store::Segment>> plan_segments();
  void read_indirect();

  const TensorSource& source_;
  const RestoreOptions& options_;
  const Shards shards_;
  bool divides_ = true;
  Selection selection_;
  RestoreReport report_;
  std::vector<Copy> copies_;
  std::pmr::monotonic_buffer_resource arena_;  // Entries come one by one, and go together.
  std::pmr::unordered_map<void*, FileOffset> claimed_{&arena_};  // Live memory, and its bytes.
  std::unordered_map<const c10::TensorImpl*, c10::Device> moved_;
  std::vector<Step> steps_;
  std::vector<std::pair<at::Tensor, bool>> requires_grad_;
  std::vector<std::function<void()>> final_;
};

}  // namespace checkpoint::state
