// Plans a restore and runs it. While items plan, it compares tensors and notes the copies to make;
// nothing live changes. `run` then works in three parts:
//
//   1. steps that may throw, each with an undo: if one fails, all are undone
//   2. the tensors' bytes: straight into live memory, with all cores, if the layout allows it;
//      the rest one by one, through another tensor
//   3. what cannot throw
//
// If part 2 fails, live tensors are half written: the error is a HalfRestored.

#include "state/plan/restore_plan.h"

#include "base/aligned_buffer.h"
#include "base/log.h"
#include "base/meter.h"
#include "base/shape_text.h"
#include "compat/accelerator.h"
#include "compat/torch_compat.h"
#include "format/tree/dense.h"
#include "format/tree/device_copy.h"
#include "format/tree/dtype.h"
#include "format/tree/scalar_text.h"
#include "store/directory/verify.h"
#include "store/io/segments.h"

#include <checkpoint/error.h>

#include <ATen/MemoryOverlap.h>
#include <torch/torch.h>

#include <algorithm>
#include <exception>
#include <new>
#include <optional>
#include <sstream>

namespace checkpoint::state {
namespace {

// Returns whether the elements fill their memory from the first to the last without a gap.
bool is_dense(const at::Tensor& tensor) { return tensor.is_non_overlapping_and_dense(); }

uint64_t file_offset(const format::StoredTensor& stored, const at::Tensor& placeholder) {
  return stored.record_offset +
         static_cast<uint64_t>(stored.storage_offset) * placeholder.element_size();
}

bool same_layout(const at::Tensor& left, const at::Tensor& right) {
  if (left.scalar_type() != right.scalar_type() || left.sizes() != right.sizes()) return false;
  if (left.strides() == right.strides()) return true;
  // The stride of a dimension with one element means nothing, nor do those of an empty tensor.
  return left.is_contiguous() && right.is_contiguous();
}

// Returns whether several elements share memory, as in an expanded tensor. Such a tensor cannot be
// written element by element.
bool overlaps_itself(const at::Tensor& tensor) {
  return at::has_internal_overlap(tensor) == at::MemOverlap::Yes;
}

at::Tensor empty_like_on(const at::Tensor& like, c10::Device device) {
  const auto options = like.options().device(device).requires_grad(false);
  const auto make = [&] {
    return overlaps_itself(like) ? at::empty(like.sizes(), options)
                                 : at::empty_strided(like.sizes(), like.strides(), options);
  };
  if (device.is_cpu()) return make();
  return compat::on_device(
      "allocate a tensor of shape " + base::shape_text(like.sizes()) + " on " + device.str(), make);
}

// Converts to real numbers that LibTorch can compute with: a complex number to its two parts, a
// float narrower than 32 bits to float.
at::Tensor real_numbers(const at::Tensor& tensor) {
  const at::Tensor parts = tensor.is_complex() ? at::view_as_real(tensor.resolve_conj()) : tensor;
  return parts.is_floating_point() && parts.itemsize() < sizeof(float) ? parts.to(at::kFloat)
                                                                       : parts;
}

// Returns a mask of the numbers that became infinite or changed by 1 or more. Rounding and dropping
// the fraction are expected of a conversion.
at::Tensor does_not_fit(const at::Tensor& saved, const at::Tensor& made) {
  if (made.is_floating_point()) return at::isfinite(saved) & ~at::isfinite(made);
  if (!saved.is_floating_point()) return saved.to(at::kLong) != made.to(at::kLong);
  return ~((saved.to(at::kDouble) - made.to(at::kDouble)).abs() < 1);
}

std::string first_number(const at::Tensor& numbers) {
  const at::Tensor first = numbers.flatten()[0];
  return format::scalar_text(first.is_floating_point() ? Value(first.to(at::kDouble).item<double>())
                                                       : Value(first.item<int64_t>()));
}

// A file whose digest has not been checked is read whole, even if only a part of it is needed.
uint64_t bytes_to_read(const store::ContentFile& content,
                       const std::vector<store::Segment>& segments) {
  if (content.unchecked != nullptr) return content.unchecked->bytes;
  uint64_t bytes = 0;
  for (const store::Segment& segment : segments) bytes += segment.bytes;
  return bytes;
}

std::string whole_differs(const Shard& shard, const at::Tensor& saved) {
  return "shape " + base::shape_text(shard.global_shape) + " over all ranks here, " +
         base::shape_text(saved.sizes()) + " saved";
}

void copy_into(at::Tensor to, const at::Tensor& from) {
  const c10::Device source = from.device(), target = to.device();
  if (source.is_cpu() && target.is_cpu()) {
    to.copy_(from);
    return;
  }
  if (source.is_cpu()) {
    format::copy_to_device(to, from);
  } else if (target.is_cpu()) {
    to.copy_(format::copy_to_host(from));
  } else {
    compat::on_device("copy a tensor from " + source.str() + " to " + target.str(),
                      [&] { to.copy_(from); });
  }
}

[[noreturn]] void refuse(const RestoreReport& report, const std::string& path) {
  throw Error(ErrorCode::kIncompatible,
              "the saved state does not match the live objects; nothing was changed:\n" +
                  report.to_string(),
              path, 0,
              "Restore into objects with the same names and shapes, or load a part with rename() "
              "or Strict::kNo.");
}

}  // namespace

RestorePlan::RestorePlan(const TensorSource& source, const RestoreOptions& options,
                         const std::vector<Shard>& shards)
    : source_(source), options_(options), shards_(shards), selection_(options) {
  const size_t expected = source.archive != nullptr ? source.archive->size() : 0;
  copies_.reserve(expected);
  claimed_.reserve(expected);
}

at::IntArrayRef RestorePlan::whole_sizes(const at::Tensor& live) const {
  const Shard* const shard = shard_of(live);
  return shard != nullptr ? at::IntArrayRef(shard->global_shape) : live.sizes();
}

at::Tensor RestorePlan::own_part(const at::Tensor& placeholder, const at::Tensor& live) const {
  const Shard* const shard = shard_of(live);
  if (shard == nullptr) return placeholder;
  if (placeholder.sizes() != at::IntArrayRef(shard->global_shape)) {
    throw Error(ErrorCode::kIncompatible, whole_differs(*shard, placeholder), source_.name());
  }
  return source_.part(placeholder, shard->offsets, shard->tensor.sizes());
}

// Returns why the numbers of a saved tensor cannot be converted; "" if they can.
std::string RestorePlan::conversion_loss(const at::Tensor& live,
                                         const at::Tensor& placeholder) const {
  if (live.scalar_type() == placeholder.scalar_type() || live.scalar_type() == at::kBool ||
      live.is_meta()) {
    return {};
  }
  if (live.scalar_type() == at::kDouble && !placeholder.is_complex()) return {};
  const std::string dtypes = "dtype " + format::dtype_name(live.scalar_type()) + " here, " +
                             format::dtype_name(placeholder.scalar_type()) + " saved";
  if (placeholder.is_complex() && !live.is_complex()) {
    return dtypes + ": imaginary parts would be lost";
  }
  const torch::NoGradGuard no_grad;
  const at::Tensor saved = real_numbers(load(placeholder));
  const at::Tensor made = real_numbers(saved.to(c10::toRealValueType(live.scalar_type())));
  const at::Tensor lost = saved.masked_select(does_not_fit(saved, made));
  if (lost.numel() == 0) return {};
  return dtypes + ": " + std::to_string(lost.numel()) +
         (lost.numel() == 1 ? " number does not fit: " : " numbers do not fit, such as ") +
         first_number(lost);
}

bool RestorePlan::has_memory(const at::Tensor& live, const std::string& key) {
  const std::string missing = format::missing_memory(live);
  if (!missing.empty()) mismatched(key, "the tensor here cannot be restored: it is " + missing);
  return missing.empty();
}

// Checks only tensors from memory: all tensors in a file have their data.
bool RestorePlan::can_be_read(const at::Tensor& saved, const at::Tensor& live,
                              const std::string& key) {
  if (source_.find(saved) != nullptr) return true;
  const bool is_meta = saved.is_meta() && !live.is_meta();
  const std::string missing =
      is_meta ? "on the meta device, and has no data" : format::missing_memory(saved);
  if (!missing.empty()) mismatched(key, "the given tensor cannot be read: it is " + missing);
  return missing.empty();
}

bool RestorePlan::fits(const at::Tensor& live, const at::Tensor& placeholder,
                       const std::string& key) {
  if (live.layout() != c10::kStrided) {
    std::ostringstream layout;
    layout << live.layout();
    mismatched(key, "a tensor of the layout " + layout.str() + " here, a dense one saved");
    return false;
  }
  if (live.scalar_type() != placeholder.scalar_type() && !options_.convert_dtype()) {
    mismatched(key, "dtype " + format::dtype_name(live.scalar_type()) + " here, " +
                        format::dtype_name(placeholder.scalar_type()) + " saved");
    return false;
  }
  if (live.sizes() != placeholder.sizes()) {
    mismatched(key, "shape " + base::shape_text(live.sizes()) + " here, " +
                        base::shape_text(placeholder.sizes()) + " saved");
    return false;
  }
  if (!has_memory(live, key) || !can_be_read(placeholder, live, key)) return false;
  const std::string loss = conversion_loss(live, placeholder);
  if (!loss.empty()) mismatched(key, loss);
  return loss.empty();
}

void RestorePlan::restore_in_place(at::Tensor live, const at::Tensor& saved,
                                   const std::string& key) {
  const Shard* const shard = shard_of(live);
  if (shard != nullptr && saved.sizes() != at::IntArrayRef(shard->global_shape)) {
    mismatched(key, whole_differs(*shard, saved));
    return;
  }
  const at::Tensor placeholder = own_part(saved, live);
  if (!fits(live, placeholder, key)) return;
  const c10::Device device = device_for(placeholder, key, live.device());
  if (device == live.device() && !overlaps_itself(live)) {
    add_copy(live, placeholder);
    return;
  }
  if (moved_.count(live.unsafeGetTensorImpl()) != 0) return;  // Tied: already placed.
  // Puts new memory behind the same tensor, as Module::to does.
  const at::Tensor fresh = empty_like_on(live, device);
  if (!at::_has_compatible_shallow_copy_type(live, fresh)) {
    mismatched(key, "LibTorch cannot move a tensor in place from " + live.device().str() + " to " +
                        device.str());
    return;
  }
  moved_.emplace(live.unsafeGetTensorImpl(), device);
  add_copy(fresh, placeholder);
  add_final([live, fresh]() mutable {
    const torch::NoGradGuard no_grad;
    const bool moves = live.device() != fresh.device();
    live.set_data(fresh);
    // A gradient on the old device would end the next backward pass.
    if (moves && live.is_leaf() && live.grad().defined()) live.mutable_grad() = at::Tensor();
  });
}

at::Tensor RestorePlan::restore_new(const at::Tensor& placeholder, const std::string& key,
                                    c10::Device device) {
  return restore_like(placeholder, at::Tensor(), device_for(placeholder, key, device));
}

at::Tensor RestorePlan::restore_like(const at::Tensor& placeholder, const at::Tensor& reuse,
                                     c10::Device device) {
  at::Tensor to = reuse;
  // Does not reuse memory that another saved tensor already goes into.
  const bool can_reuse = reuse.defined() && reuse.device() == device &&
                         same_layout(reuse, placeholder) && !overlaps_itself(reuse) &&
                         format::missing_memory(reuse).empty() &&
                         claimed_.count(reuse.data_ptr()) == 0;
  if (!can_reuse) {
    to = empty_like_on(placeholder, device);
    if (device.is_cpu()) base::ask_for_huge_pages(to.data_ptr(), format::bytes_of(to));
  }
  add_copy(to, placeholder);
  return to;
}

c10::Device RestorePlan::device_for(const at::Tensor& placeholder, const std::string& key,
                                    c10::Device live) const {
  const c10::Device device =
      options_.map_location().device_for(key, source_.saved_device(placeholder), live);
  compat::check_device(device, key, source_.name());
  return device;
}

void RestorePlan::note_move(const at::Tensor& live, c10::Device device) {
  if (device != live.device()) moved_.emplace(live.unsafeGetTensorImpl(), device);
}

at::Tensor RestorePlan::load(const at::Tensor& placeholder) const {
  return source_.load(placeholder);
}

c10::Device RestorePlan::device_after(const at::Tensor& live) const {
  const auto moved = moved_.find(live.unsafeGetTensorImpl());
  return moved != moved_.end() ? moved->second : live.device();
}

void RestorePlan::add_copy(const at::Tensor& to, const at::Tensor& placeholder) {
  if (to.numel() == 0) return;
  const format::StoredTensor* stored = source_.find(placeholder);
  if (stored != nullptr && stored->parts != nullptr) {
    const torch::NoGradGuard no_grad;
    for (const format::StoredPart& part : *stored->parts) {
      add_copy(format::view_of_part(to, part.at, part.placeholder.sizes()), part.placeholder);
    }
    return;
  }
  if (stored != nullptr && stored->lies_as_it_is() && to.device().is_cpu() && !to.is_conj() &&
      !to.is_neg() && is_dense(to) && same_layout(to, placeholder)) {
    // Tied tensors are read once. If the file holds two different ones for one live tensor, the
    // last one wins, as with LibTorch's own load. It is then copied indirectly, because those
    // copies keep the order.
    const FileOffset at = {stored->file, file_offset(*stored, placeholder)};
    const auto [claim, first] = claimed_.emplace(to.data_ptr(), at);
    if (first) {
      copies_.push_back({to, placeholder, true, at});
      return;
    }
    if (claim->second == at) return;
  }
  copies_.push_back({to, placeholder, false});
}

void RestorePlan::throw_half_restored(ErrorCode code, const std::string& why) const {
  const bool is_device = code == ErrorCode::kDevice;
  throw HalfRestored(
      code,
      std::string(is_device ? "a device" : "reading") +
          " failed when part of the live state was already written; it must not be used: " + why,
      source_.name(), 0,
      is_device ? "Restore again, or start the program again. The checkpoint is intact."
                : "Restore another checkpoint, or start the program again.");
}

void RestorePlan::run(const std::function<void()>& before_writing) {
  run_steps();
  if (before_writing) {
    try {
      before_writing();
    } catch (...) {
      undo_steps(steps_.size());
      throw;
    }
  }
  order_overlapping();
  try {
    read_direct();
    read_indirect();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInvalidArgument) throw;  // From on_transfer: see below.
    const bool is_told = error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kDevice;
    throw_half_restored(is_told ? error.code() : ErrorCode::kIo, error.what());
  } catch (const c10::Error& error) {
    throw_half_restored(ErrorCode::kIo, error.what_without_backtrace());
  } catch (const std::bad_alloc& error) {
    throw_half_restored(ErrorCode::kIo, error.what());
  }  // An exception of on_transfer's function passes unchanged.
  for (const auto& action : final_) action();
  for (const auto& [live, wanted] : requires_grad_) live.set_requires_grad(wanted);
}

void RestorePlan::run_steps() {
  for (size_t done = 0; done < steps_.size(); ++done) {
    try {
      steps_[done].apply();
    } catch (...) {
      undo_steps(done + 1);  // The failed one too: it may have done a part.
      throw;
    }
  }
}

void RestorePlan::undo_steps(size_t done) {
  for (size_t i = done; i-- > 0;) {
    try {
      steps_[i].undo();
    } catch (...) {
    }
  }
}

// Live tensors may overlap in part (a view and its base), and the file may hold different values
// for the memory that they share. The first of them is still read directly. The others are copied
// after it, in the plan's order. With several threads, it would be chance which one wins.
void RestorePlan::order_overlapping() {
  std::vector<format::Extent> order;  // With the copies' indices.
  order.reserve(copies_.size());
  for (size_t i = 0; i < copies_.size(); ++i) {
    const at::Tensor& to = copies_[i].to;
    if (to.device().is_cpu() && to.layout() == c10::kStrided)
      order.push_back(format::extent_of(to, i));
  }
  std::sort(order.begin(), order.end(),
            [](const auto& left, const auto& right) { return left.begin < right.begin; });
  const char* end = nullptr;
  size_t first = 0;  // The first in the plan, of these overlapping ones.
  for (const format::Extent& extent : order) {
    if (end != nullptr && extent.begin < end) {
      copies_[std::max(first, extent.index)].direct = false;
      first = std::min(first, extent.index);
      end = std::max(end, extent.end);
    } else {
      first = extent.index;
      end = extent.end;
    }
  }
}

// Returns, for each file, what is read straight into live memory, and notes that this changes.
std::vector<std::vector<store::Segment>> RestorePlan::plan_segments() {
  std::vector<std::vector<store::Segment>> segments(source_.files.size());
  for (const Copy& copy : copies_) {
    if (!copy.direct) continue;
    segments.at(copy.at.first)
        .push_back(
            {copy.at.second, static_cast<char*>(copy.to.data_ptr()), format::bytes_of(copy.to)});
    compat::note_change(copy.to);
  }
  return segments;
}

void RestorePlan::read_direct() {
  std::vector<std::vector<store::Segment>> segments = plan_segments();
  uint64_t bytes = 0;
  for (size_t i = 0; i < segments.size(); ++i) {
    bytes += bytes_to_read(source_.files[i], segments[i]);
  }
  base::Meter meter(options_.on_transfer(), Phase::kRead, bytes);
  for (size_t i = 0; i < segments.size(); ++i) {
    const auto& [file, unchecked] = source_.files[i];
    if (unchecked == nullptr) {
      if (!segments[i].empty()) store::read_segments(*file, std::move(segments[i]), &meter);
    } else {
      const std::string digest =
          store::read_and_digest(*file, unchecked->bytes, std::move(segments[i]), &meter);
      store::check_digest(*unchecked, digest, file->name());
    }
  }
}

void RestorePlan::read_indirect() {
  const torch::NoGradGuard no_grad;
  for (const Copy& copy : copies_) {
    if (copy.direct) continue;
    at::Tensor to = copy.to;
    // A tensor made in inference mode may only be written in inference mode.
    std::optional<c10::InferenceMode> inference;
    if (to.is_inference()) inference.emplace();
    copy_into(to, load(copy.placeholder));
  }
}

void RestorePlan::require_fit(const std::string& path) const {
  if (report_.fits()) return;
  if (options_.strict() == Strict::kYes) refuse(report_, path);
  base::log_warning((path.empty() ? "" : "'" + path + "': ") +
                    "not everything matches; what matches is restored:\n" + report_.to_string());
}

}  // namespace checkpoint::state
