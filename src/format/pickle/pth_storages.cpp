// Which bytes a .pth file holds. Tensors are sorted by their memory; those that overlap share one
// storage, as they do in Python. A tensor alone gets a storage of its own elements only.

#include "format/pickle/pth_storages.h"

#include "format/tree/dense.h"
#include "format/tree/device_copy.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace checkpoint::format {

namespace {

const char* begin_of(const at::Tensor& tensor) {
  return static_cast<const char*>(tensor.data_ptr());
}

const char* end_of(const at::Tensor& tensor) {
  return begin_of(tensor) + static_cast<size_t>(extent(tensor)) * tensor.element_size();
}

const char* storage_of(const at::Tensor& tensor) {
  return static_cast<const char*>(tensor.storage().data());
}

bool lives_on_cpu_as_it_is(const at::Tensor& live) {
  return live.device().is_cpu() && !live.is_conj() && !live.is_neg();
}

at::Tensor on_host(const at::Tensor& live) {
  return live.device().is_cpu() ? live.detach().resolve_conj().resolve_neg() : copy_to_host(live);
}

// Returns only the elements of a tensor that overlaps no other. An expanded tensor has more
// elements than memory, and stays as it is.
at::Tensor without_gaps(const at::Tensor& tensor) {
  return extent(tensor) <= tensor.numel() ? tensor : tensor.contiguous();
}

}  // namespace

PthStorages::PthStorages(const Value& tree) : tree_(tree) {
  const torch::NoGradGuard no_grad;
  for_each_tensor(tree, Path(),
                  [this](const Value& entry, const Path& path) { add(entry.to_tensor(), path); });
  make_storages();
}

void PthStorages::add(const at::Tensor& live, const Path& path) {
  check_dense(live, path);
  auto [place, is_new] = by_tensor_.emplace(live.unsafeGetTensorImpl(), placements_.size());
  if (!is_new) return;
  place->second = find_tied(live);
  if (place->second < placements_.size()) return;
  if (live.numel() > 0) by_memory_.emplace(live.data_ptr(), placements_.size());
  const at::Tensor plain = lives_on_cpu_as_it_is(live) ? live : on_host(live).contiguous();
  placements_.push_back({live, plain, 0, 0});
}

// Returns the index of a tied tensor in placements_, or placements_.size().
size_t PthStorages::find_tied(const at::Tensor& live) const {
  if (live.numel() == 0) return placements_.size();
  auto [known, end] = by_memory_.equal_range(live.data_ptr());
  for (; known != end; ++known) {
    const at::Tensor& other = placements_[known->second].live;
    if (are_tied(other, live) && other.requires_grad() == live.requires_grad()) {
      return known->second;
    }
  }
  return placements_.size();
}

void PthStorages::make_storages() {
  std::vector<size_t> order(placements_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Empty tensors first: they overlap nothing.
  const auto first_with_elements = std::stable_partition(
      order.begin(), order.end(), [&](size_t i) { return placements_[i].tensor.numel() == 0; });
  std::sort(first_with_elements, order.end(), [&](size_t left, size_t right) {
    return begin_of(placements_[left].tensor) < begin_of(placements_[right].tensor);
  });

  // The runs of tensors that overlap: where each begins and ends in `order`.
  std::vector<std::pair<size_t*, size_t*>> runs;
  runs.reserve(order.size());
  const char* end = nullptr;
  for (size_t& index : order) {
    const at::Tensor& tensor = placements_[index].tensor;
    const bool is_empty = tensor.numel() == 0;
    if (!is_empty && end != nullptr && begin_of(tensor) < end) {
      runs.back().second = &index + 1;
      end = std::max(end, end_of(tensor));
    } else {
      runs.emplace_back(&index, &index + 1);
      if (!is_empty) end = end_of(tensor);
    }
  }
  // Restores the order of the tree: people expect it in a file.
  for (const auto& [first, last] : runs) std::sort(first, last);
  std::sort(runs.begin(), runs.end(),
            [](const auto& left, const auto& right) { return *left.first < *right.first; });
  storages_.reserve(runs.size());
  for (const auto& [first, last] : runs) make_storage(first, last);
}

void PthStorages::make_storage(const size_t* begin, const size_t* end) {
  Placement& first = placements_[*begin];
  if (end - begin == 1) first.tensor = without_gaps(first.tensor);
  const char* data = begin_of(first.tensor);
  const char* data_end = end_of(first.tensor);
  const char* storages = storage_of(first.tensor);
  bool mixed = false;
  for (const size_t* index = begin; index != end; ++index) {
    const at::Tensor& tensor = placements_[*index].tensor;
    storages = std::min(storages, storage_of(tensor));
    data = std::min(data, begin_of(tensor));
    data_end = std::max(data_end, end_of(tensor));
    mixed = mixed || tensor.scalar_type() != first.tensor.scalar_type();
  }
  // Counted from the begin of the storage, the offset of each dtype is a whole number of elements.
  // (There are several storages if tensors were made piece by piece from foreign memory.)
  if (mixed) data = storages;
  for (const size_t* index = begin; index != end; ++index) {
    Placement& placement = placements_[*index];
    placement.record = storages_.size();
    if (placement.tensor.numel() == 0) continue;
    const auto item_bytes = static_cast<int64_t>(placement.tensor.element_size());
    const int64_t distance = begin_of(placement.tensor) - data;
    if (distance % item_bytes != 0) {
      throw Error(ErrorCode::kUnsupported,
                  "the tensor '" + key_of(placement) +
                      "' cannot be saved: it begins within an element of one that it overlaps");
    }
    placement.offset = distance / item_bytes;
  }
  storages_.push_back({data, static_cast<size_t>(data_end - data), mixed});
}

// Returns the key of its first place in the tree.
std::string PthStorages::key_of(const Placement& placement) const {
  std::string key;
  bool found = false;
  for_each_tensor(tree_, Path(), [&](const Value& entry, const Path& path) {
    if (found || !entry.to_tensor().is_same(placement.live)) return;
    found = true;
    key = path.text();
  });
  return key;
}

}  // namespace checkpoint::format
