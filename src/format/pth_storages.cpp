#include "format/pth_storages.h"

#include "format/dense.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace checkpoint::format {

namespace {

// How many elements of its storage a tensor reaches over.
int64_t extent(const at::Tensor& tensor) {
  if (tensor.numel() == 0) return 0;
  int64_t last = 0;
  for (int64_t i = 0; i < tensor.dim(); ++i) last += (tensor.size(i) - 1) * tensor.stride(i);
  return last + 1;
}

const char* begin_of(const at::Tensor& tensor) {
  return static_cast<const char*>(tensor.data_ptr());
}

const char* end_of(const at::Tensor& tensor) {
  return begin_of(tensor) + static_cast<size_t>(extent(tensor)) * tensor.element_size();
}

bool lives_on_cpu_as_it_is(const at::Tensor& live) {
  return live.device().is_cpu() && !live.is_conj() && !live.is_neg();
}

// For a tensor that nothing else overlaps: only its own elements. An expanded one has more elements
// than memory, and stays so.
at::Tensor without_gaps(const at::Tensor& tensor) {
  return extent(tensor) <= tensor.numel() ? tensor : tensor.contiguous();
}

}  // namespace

PthStorages::PthStorages(const Value& tree) {
  const torch::NoGradGuard no_grad;
  collect(tree, "");
  make_records();
}

void PthStorages::collect(const Value& value, const std::string& path) {
  const auto collect_all = [&](const std::vector<Value>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
      collect(values[i], dotted(path, std::to_string(i)));
    }
  };
  switch (value.kind()) {
    case Value::Kind::kTensor:
      add(value.to_tensor(), path);
      break;
    case Value::Kind::kList:
      collect_all(value.list());
      break;
    case Value::Kind::kTuple:
      collect_all(value.tuple());
      break;
    case Value::Kind::kDict:
      for (const auto& [key, entry] : value.dict()) collect(entry, dotted(path, to_string(key)));
      break;
    default:
      break;
  }
}

void PthStorages::add(const at::Tensor& live, const std::string& path) {
  check_dense(live, path);
  if (by_tensor_.count(live.unsafeGetTensorImpl()) != 0) return;
  size_t index = planned_.size();
  if (live.numel() > 0) {
    Identity identity{live.data_ptr(),
                      live.sizes().vec(),
                      live.strides().vec(),
                      static_cast<int>(live.scalar_type()),
                      2 * static_cast<int>(live.is_conj()) + static_cast<int>(live.is_neg()),
                      live.requires_grad()};
    index = by_identity_.emplace(std::move(identity), index).first->second;
  }
  by_tensor_.emplace(live.unsafeGetTensorImpl(), index);
  if (index < planned_.size()) return;
  const at::Tensor plain = lives_on_cpu_as_it_is(live)
                               ? live.detach()
                               : live.detach().resolve_conj().resolve_neg().cpu().contiguous();
  planned_.push_back({path, plain, 0, 0});
}

void PthStorages::make_records() {
  std::vector<size_t> order(planned_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Stable: what shares no memory is written in the tree's order of places in memory.
  std::stable_sort(order.begin(), order.end(), [&](size_t left, size_t right) {
    return begin_of(planned_[left].tensor) < begin_of(planned_[right].tensor);
  });
  // Each run of tensors that overlap, empty ones alone.
  std::vector<std::vector<size_t>> runs;
  size_t last_run = 0;
  const char* end = nullptr;
  for (const size_t index : order) {
    const at::Tensor& tensor = planned_[index].tensor;
    if (tensor.numel() > 0 && end != nullptr && begin_of(tensor) < end) {
      runs[last_run].push_back(index);
      end = std::max(end, end_of(tensor));
      continue;
    }
    runs.push_back({index});
    if (tensor.numel() == 0) continue;
    last_run = runs.size() - 1;
    end = end_of(tensor);
  }
  // Back into the tree's order, which is the one in which people look at files.
  for (auto& run : runs) std::sort(run.begin(), run.end());
  std::sort(runs.begin(), runs.end());

  for (const auto& run : runs) {
    Planned& first = planned_[run.front()];
    if (run.size() == 1) first.tensor = without_gaps(first.tensor);
    const char* begin = begin_of(first.tensor);
    const char* record_end = end_of(first.tensor);
    bool mixed = false;
    for (const size_t index : run) {
      const at::Tensor& tensor = planned_[index].tensor;
      begin = std::min(begin, begin_of(tensor));
      record_end = std::max(record_end, end_of(tensor));
      mixed = mixed || tensor.scalar_type() != first.tensor.scalar_type();
    }
    // From the storage's own begin each dtype's elements are whole numbers of elements away.
    if (mixed) begin = static_cast<const char*>(first.tensor.storage().data());
    for (const size_t index : run) {
      Planned& planned = planned_[index];
      planned.record = records_.size();
      if (planned.tensor.numel() == 0) continue;
      const auto item_bytes = static_cast<int64_t>(planned.tensor.element_size());
      const int64_t distance = begin_of(planned.tensor) - begin;
      if (distance % item_bytes != 0) {
        throw Error(ErrorCode::kUnsupported,
                    "the tensor '" + planned.key +
                        "' cannot be saved: it begins within an element of one that it overlaps");
      }
      planned.offset = distance / item_bytes;
    }
    records_.push_back({begin, static_cast<size_t>(record_end - begin), mixed});
  }
}

}  // namespace checkpoint::format
