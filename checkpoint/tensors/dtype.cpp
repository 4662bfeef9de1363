#include "dtype.h"

#include "repeats.h"

#include "format/tree/path.h"

#include <checkpoint/error.h>

#include <spdlog/fmt/fmt.h>
#include <torch/torch.h>

#include <map>
#include <utility>
#include <vector>

namespace checkpoint::cli {
namespace {

using format::dotted;

// The form of Python's optimizers, which this library can write too.
bool is_optimizer(const Dict& dict) {
  return dict.contains("state") && dict.contains("param_groups");
}

// Converts the tensors of one tree in place.
class Converter {
 public:
  Converter(c10::ScalarType dtype, const std::string& path) : dtype_(dtype), path_(path) {}

  void convert(Value& value, const std::string& name, bool in_optimizer_state) {
    const auto convert_all = [&](std::vector<Value>& items) {
      for (size_t i = 0; i < items.size(); ++i) {
        convert(items[i], dotted(name, std::to_string(i)), in_optimizer_state);
      }
    };
    switch (value.kind()) {
      case Value::Kind::kTensor: {
        const at::Tensor tensor = value.to_tensor();
        const bool is_counter = in_optimizer_state && tensor.dim() == 0;
        if (!is_counter) value = converted(tensor, name);
        break;
      }
      case Value::Kind::kList:
        return convert_all(value.list());
      case Value::Kind::kTuple:
        return convert_all(value.tuple());
      case Value::Kind::kDict: {
        const bool optimizer = is_optimizer(value.dict());
        value.dict().for_each([&](const Key& key, Value& entry) {
          const bool is_state = optimizer && key == Key("state");
          convert(entry, dotted(name, to_string(key)), in_optimizer_state || is_state);
        });
        break;
      }
      default:
        break;
    }
  }

 private:
  // A storage that was converted.
  struct Known {
    at::Tensor old;  // Kept alive, so that no other storage can get the same address.
    at::Tensor fresh;
  };

  at::Tensor converted(const at::Tensor& tensor, const std::string& name) {
    if (!tensor.defined() || !tensor.is_floating_point() || tensor.scalar_type() == dtype_)
      return tensor;
    const at::Tensor result = whole_storage_of(tensor).as_strided(tensor.sizes(), tensor.strides(),
                                                                  tensor.storage_offset());
    check_finite(tensor, result, name);
    return result.requires_grad_(tensor.requires_grad());
  }

  // Converts each whole storage once, when its first view is met. So shared memory stays shared,
  // and an expanded tensor stays expanded.
  at::Tensor whole_storage_of(const at::Tensor& tensor) {
    const std::pair<const void*, c10::ScalarType> key(tensor.storage().unsafeGetStorageImpl(),
                                                      tensor.scalar_type());
    const auto found = known_.find(key);
    if (found != known_.end()) return found->second.fresh;
    const auto count = static_cast<int64_t>(tensor.storage().nbytes() / tensor.element_size());
    const at::Tensor whole = tensor.detach().as_strided({count}, {1}, 0);
    return known_.emplace(key, Known{whole, whole.to(dtype_)}).first->second.fresh;
  }

  // A quick check: rounding keeps the order of numbers, so the outermost two decide. False also if
  // the tensor holds an infinity or a NaN.
  bool stays_finite(const at::Tensor& old) const {
    if (old.numel() == 0) return true;
    if (old.element_size() < 2) return false;  // LibTorch does not compare float8.
    const auto [least, most] = old.aminmax();
    const at::Tensor outermost = at::stack({least, most});
    return (outermost.isfinite().logical_and(outermost.to(dtype_).isfinite())).all().item<bool>();
  }

  void check_finite(const at::Tensor& before, const at::Tensor& after,
                    const std::string& name) const {
    const at::Tensor old = without_repeats(before), fresh = without_repeats(after);
    if (stays_finite(old)) return;
    const at::Tensor lost = fresh.isinf().logical_and(old.isinf().logical_not());
    if (!lost.any().item<bool>()) return;
    const double number = old.masked_select(lost).select(0, 0).item<double>();
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the tensor '{}' holds {}, which {} cannot hold: it would be infinite",
                            name, number, c10::toString(dtype_)),
                path_, 0, "Choose a dtype with more range: bfloat16, float32 or float64.");
  }

  const c10::ScalarType dtype_;
  const std::string path_;
  std::map<std::pair<const void*, c10::ScalarType>, Known> known_;
};

}  // namespace

Value with_dtype(Value tree, c10::ScalarType dtype, const std::string& path) {
  const torch::NoGradGuard no_grad;
  Converter(dtype, path).convert(tree, "", false);
  return tree;
}

}  // namespace checkpoint::cli
