#include "repeats.h"

#include "flat.h"
#include "output.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <algorithm>
#include <set>
#include <tuple>

namespace checkpoint::cli {
namespace {

constexpr double kAlwaysFits = 1 << 30;
// Overlapping views of one storage are normal, so their sum may be larger than the storage.
constexpr double kTimesStorage = 16;

// A double, because the number of elements in a hostile shape may overflow an integer.
double bytes_in_full(const at::Tensor& tensor) {
  auto bytes = static_cast<double>(tensor.element_size());
  for (const int64_t size : tensor.sizes()) bytes *= static_cast<double>(size);
  return bytes;
}

double storage_bytes(const at::Tensor& tensor) {
  return static_cast<double>(tensor.storage().nbytes());
}

void check(const std::string& name, double full, double held, const std::string& path) {
  if (full <= kAlwaysFits || full <= kTimesStorage * held) return;
  const double shown = std::min(full, 9e18);
  throw Error(ErrorCode::kUnsupported,
              "the tensor '" + name + "' is expanded: in full it takes " +
                  human_bytes(static_cast<uint64_t>(shown)) + ", but the file holds only " +
                  human_bytes(static_cast<uint64_t>(held)),
              path, 0, "Save the tensor that it was expanded from.");
}

}  // namespace

at::Tensor without_repeats(const at::Tensor& tensor) {
  at::Tensor view = tensor;
  for (int64_t dim = 0; dim < tensor.dim(); ++dim) {
    if (tensor.stride(dim) == 0 && tensor.size(dim) > 1) view = view.narrow(dim, 0, 1);
  }
  return view;
}

void check_fits(const at::Tensor& tensor, const std::string& name, const std::string& path) {
  check(name, bytes_in_full(tensor), storage_bytes(tensor), path);
}

void check_fits(const Value& tree, const std::string& path) {
  double full = 0, held = 0, largest = 0;
  std::string name_of_largest;
  std::set<const void*> storages;
  std::set<std::tuple<const void*, double>> views;  // Tied tensors are counted once.
  const Flat flat = flatten(tree, SameName::kNumber, path);
  for (const std::string& name : flat.names) {
    const Value& value = *flat.find(name);
    if (!value.is_tensor() || !value.to_tensor().defined()) continue;
    const at::Tensor& tensor = value.to_tensor();
    const double bytes = bytes_in_full(tensor);
    if (!views.emplace(tensor.data_ptr(), bytes).second) continue;
    full += bytes;
    if (storages.insert(tensor.storage().unsafeGetStorageImpl()).second) {
      held += storage_bytes(tensor);
    }
    if (bytes <= largest) continue;
    largest = bytes;
    name_of_largest = name;
  }
  check(name_of_largest, full, held, path);
}

}  // namespace checkpoint::cli
