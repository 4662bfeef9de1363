// Which bytes a .pth file holds. Tensors are sorted by their memory; those that overlap share one
// storage, as they do in Python. A tensor alone gets a storage of its own elements only.

#include "format/pickle/pth_storages.h"

#include "format/tree/dense.h"
#include "format/tree/device_copy.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <algorithm>
#include <utility>

namespace checkpoint::format {

namespace {

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
  for_each_tensor(tree, Path(), [this](const Value& entry, const Path& path) {
    check_dense(entry.to_tensor(), path);
    in_tree_order_.push_back(add(entry.to_tensor()));
  });
  make_storages();
}

// Returns the index of the tensor, or of one that is tied to it.
size_t PthStorages::add(const at::Tensor& live) {
  const void* const where = live.numel() > 0 ? live.data_ptr() : live.unsafeGetTensorImpl();
  auto [known, end] = known_.equal_range(where);
  for (; known != end; ++known) {
    const at::Tensor& other = placements_[known->second].live;
    if (other.is_same(live)) return known->second;
    if (are_tied(other, live) && other.requires_grad() == live.requires_grad()) {
      return known->second;
    }
  }
  known_.emplace(where, placements_.size());
  const at::Tensor plain = lives_on_cpu_as_it_is(live) ? live : on_host(live).contiguous();
  placements_.push_back({live, plain, 0, 0});
  return placements_.size() - 1;
}

void PthStorages::make_storages() {
  std::vector<Extent> extents;
  extents.reserve(placements_.size());
  for (const Placement& placement : placements_) {
    const size_t index = extents.size();
    const bool is_empty = placement.tensor.numel() == 0;  // Overlaps nothing.
    extents.push_back(is_empty ? Extent{nullptr, nullptr, index}
                               : extent_of(placement.tensor, index));
  }
  std::sort(extents.begin(), extents.end(),
            [](const Extent& left, const Extent& right) { return left.begin < right.begin; });

  // The runs of tensors that overlap: where each begins and ends in `extents`.
  std::vector<std::pair<Extent*, Extent*>> runs;
  runs.reserve(extents.size());
  const char* end = nullptr;
  for (Extent& extent : extents) {
    if (extent.begin < end) {
      runs.back().second = &extent + 1;
    } else {
      runs.emplace_back(&extent, &extent + 1);
    }
    end = std::max(end, extent.end);
  }
  // Restores the order of the tree: people expect it in a file.
  for (const auto& [first, last] : runs) {
    std::sort(first, last,
              [](const Extent& left, const Extent& right) { return left.index < right.index; });
  }
  std::sort(runs.begin(), runs.end(), [](const auto& left, const auto& right) {
    return left.first->index < right.first->index;
  });
  storages_.reserve(runs.size());
  for (const auto& [first, last] : runs) make_storage(first, last);
}

void PthStorages::make_storage(const Extent* begin, const Extent* end) {
  Placement& first = placements_[begin->index];
  if (end - begin == 1) first.tensor = without_gaps(first.tensor);
  Extent whole = extent_of(first.tensor, begin->index);
  const char* storages = storage_of(first.tensor);
  bool mixed = false;
  for (const Extent* extent = begin + 1; extent != end; ++extent) {
    const at::Tensor& tensor = placements_[extent->index].tensor;
    storages = std::min(storages, storage_of(tensor));
    whole.begin = std::min(whole.begin, extent->begin);
    whole.end = std::max(whole.end, extent->end);
    mixed = mixed || tensor.scalar_type() != first.tensor.scalar_type();
  }
  // Counted from the begin of the storage, the offset of each dtype is a whole number of elements.
  // (There are several storages if tensors were made piece by piece from foreign memory.)
  if (mixed) whole.begin = storages;
  for (const Extent* extent = begin; extent != end; ++extent) {
    Placement& placement = placements_[extent->index];
    placement.record = storages_.size();
    if (placement.tensor.numel() == 0) continue;
    const auto item_bytes = static_cast<int64_t>(placement.tensor.element_size());
    const int64_t distance = static_cast<const char*>(placement.tensor.data_ptr()) - whole.begin;
    if (distance % item_bytes != 0) {
      throw Error(ErrorCode::kUnsupported,
                  "the tensor '" + key_of(placement) +
                      "' cannot be saved: it begins within an element of one that it overlaps");
    }
    placement.offset = distance / item_bytes;
  }
  storages_.push_back({whole.begin, static_cast<size_t>(whole.end - whole.begin), mixed});
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
