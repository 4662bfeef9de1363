#pragma once

#include "format/decode/decoded.h"
#include "state/plan/selection.h"
#include "store/directory/verify.h"
#include "store/io/segments.h"

#include <checkpoint/error.h>
#include <checkpoint/manifest.h>
#include <checkpoint/map_location.h>
#include <checkpoint/restore.h>

#include <ATen/core/Tensor.h>

#include <exception>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace checkpoint::state {

/// The device that a placeholder's tensor was saved from.
using SavedDevices = std::function<c10::Device(const format::StoredTensor&)>;

/// Where the tensors of a saved tree come from: decoded files, whose tensors are placeholders, or
/// memory, where they are themselves. What it points to must outlive the restore.
struct TensorSource {
  std::vector<store::ContentFile> files;  ///< By StoredTensor::file. Empty: tensors are themselves.
  const format::DecodedArchive* archive = nullptr;
  SavedDevices saved_devices;

  /// Null for a tensor that is itself.
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
    return format::load_tensor(*files.at(stored->file).file, *archive, tensor);
  }
  /// For errors that concern all of it: the first file's. Empty for memory.
  std::string name() const { return files.empty() ? "" : files.front().file->name(); }
};

/// A restore failed after it had begun to write into the live state.
class HalfRestored : public Error {
 public:
  using Error::Error;
};

/// What a restore will do, found out before anything is done. Items first compare and plan; then,
/// if all fits, `run` does it: what may refuse, then the tensors, then what cannot fail.
class RestorePlan {
 public:
  /// Both must outlive the plan.
  RestorePlan(const TensorSource& source, const RestoreOptions& options);

  const RestoreOptions& options() const { return options_; }
  /// What the options choose.
  const Selection& selection() const { return selection_; }
  Selection& selection() { return selection_; }

  void missing(const std::string& key) { report_.missing.push_back(key); }
  void unexpected(const std::string& key) { report_.unexpected.push_back(key); }
  void mismatched(const std::string& key, const std::string& why) {
    report_.mismatched.push_back(key + ": " + why);
  }
  /// That a saved value is of another kind than what is live: `here` is "a tensor", for instance.
  void wrong_kind(const std::string& key, const char* here, const Value& saved) {
    mismatched(key, std::string(here) + " here, and a " + kind_text(saved) + " saved");
  }
  void ignored_item(const std::string& name) { report_.ignored_items.push_back(name); }
  /// That an item is missing, and which ones the file has.
  void missing_item(const std::string& name, std::vector<std::string> file_items) {
    missing(name);
    report_.file_items = std::move(file_items);
  }

  /// Plans to write a saved tensor into a live one, which keeps its identity, strides and
  /// requires_grad; map_location may give it memory on another device. Dtype and shape must be
  /// equal.
  void restore_in_place(at::Tensor live, const at::Tensor& placeholder, const std::string& key);
  /// Whether a live tensor has memory for its elements; if not, the report says so.
  bool has_memory(const at::Tensor& live, const std::string& key);
  /// Whether a saved tensor's dtype and shape are those of the live one, and the live one can be
  /// written into; if not, the report says so.
  bool fits(const at::Tensor& live, const at::Tensor& placeholder, const std::string& key);
  /// Plans a saved tensor into new memory, allocated now, on the device that map_location says for
  /// its key, or else on `device`.
  at::Tensor restore_new(const at::Tensor& placeholder, const std::string& key, c10::Device device);
  /// Plans a saved tensor into `reuse` if that has its dtype, shape and strides, and lives on
  /// `device`; else into new memory there.
  at::Tensor restore_like(const at::Tensor& placeholder, const at::Tensor& reuse,
                          c10::Device device);
  /// Where a live tensor will be after the restore.
  c10::Device device_after(const at::Tensor& live) const;
  /// Where a saved tensor with this key goes whose live counterpart is on `live`.
  c10::Device device_for(const at::Tensor& placeholder, const std::string& key,
                         c10::Device live) const;
  /// That a live tensor will be on another device, though not by this plan's own hand.
  void note_move(const at::Tensor& live, c10::Device device);
  /// Reads a small saved tensor at once, into new CPU memory.
  at::Tensor load(const at::Tensor& placeholder) const;

  /// Something that may throw; `undo` takes it back if a later one does.
  void add_step(std::function<void()> action, std::function<void()> undo) {
    steps_.push_back({std::move(action), std::move(undo)});
  }
  /// Something that cannot throw, done last.
  void add_final(std::function<void()> action) { final_.push_back(std::move(action)); }

  const RestoreReport& report() const { return report_; }
  /// What becomes of a plan that does not fit: strict, Error(incompatible) with the whole report;
  /// else a warning in the log. `path` is for both.
  void require_fit(const std::string& path) const;

  /// Carries it out. If reading fails, some live tensors are already overwritten: throws
  /// HalfRestored, with the code io, or corrupt for bytes that are not those that were saved.
  void run();

 private:
  // A place in the source's files: which one, and the byte.
  using FileOffset = std::pair<size_t, uint64_t>;
  struct Copy {
    at::Tensor to;
    at::Tensor placeholder;
    bool direct;         // Read straight into the tensor's memory, not by way of another tensor.
    FileOffset at = {};  // Then: where its bytes are.
  };
  struct Step {
    std::function<void()> action;
    std::function<void()> undo;
  };

  std::string conversion_loss(const at::Tensor& live, const at::Tensor& placeholder) const;
  bool can_be_read(const at::Tensor& saved, const at::Tensor& live, const std::string& key);
  void add_copy(const at::Tensor& to, const at::Tensor& placeholder);
  [[noreturn]] void throw_half_restored(ErrorCode code, const std::string& why) const;
  void run_steps();
  void order_overlapping();
  void read_direct();
  std::vector<std::vector<store::Segment>> plan_segments();
  void read_indirect();

  const TensorSource& source_;
  const RestoreOptions& options_;
  Selection selection_;
  RestoreReport report_;
  std::vector<Copy> copies_;
  std::unordered_map<void*, FileOffset> claimed_;  // Memory, and what of the files goes there.
  std::unordered_map<const c10::TensorImpl*, c10::Device> moved_;
  std::vector<Step> steps_;
  std::vector<std::function<void()>> final_;
};

}  // namespace checkpoint::state
