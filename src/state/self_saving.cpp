#include "state/self_saving.h"

#include "format/memory_archive.h"
#include "store/log.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <utility>
#include <vector>

namespace checkpoint::state {
namespace {

using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

// Calls the user's code, and says whose words an exception's are.
template <typename Call>
void call(ErrorCode code, const std::string& doing, const Call& user_code) {
  try {
    user_code();
  } catch (const Error&) {
    throw;
  } catch (const c10::Error& error) {
    throw Error(code, doing + " failed: " + error.what_without_backtrace());
  } catch (const std::exception& error) {
    throw Error(code, doing + " failed: " + error.what());
  }
}

// A tree with other tensors.
template <typename Change>
Value transform(const Value& value, const Value* other, const Change& change) {
  const auto transform_all = [&](const std::vector<Value>& values,
                                 const std::vector<Value>* others) {
    std::vector<Value> result;
    result.reserve(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      const bool has_other = others != nullptr && i < others->size();
      result.push_back(transform(values[i], has_other ? &(*others)[i] : nullptr, change));
    }
    return result;
  };
  if (other != nullptr && other->kind() != value.kind()) other = nullptr;
  switch (value.kind()) {
    case Value::Kind::kTensor:
      return change(value.to_tensor(), other != nullptr ? &other->to_tensor() : nullptr);
    case Value::Kind::kList:
      return Value(transform_all(value.list(), other != nullptr ? &other->list() : nullptr));
    case Value::Kind::kTuple:
      return Tuple{transform_all(value.tuple(), other != nullptr ? &other->tuple() : nullptr)};
    case Value::Kind::kDict: {
      Dict result;
      for (const auto& [key, entry] : value.dict()) {
        result.insert(
            key, transform(entry, other != nullptr ? other->dict().find(key) : nullptr, change));
      }
      return result;
    }
    default:
      return value;
  }
}

}  // namespace

SelfSaving::SelfSaving(std::string path, std::function<void(OutputArchive&)> save,
                       std::function<void(InputArchive&)> load)
    : path_(std::move(path)), save_(std::move(save)), load_(std::move(load)) {}

Dict SelfSaving::capture() const {
  store::log_debug("'" + path_ + "' is read by its own save, through an archive in memory");
  OutputArchive archive;
  call(ErrorCode::kUnsupported, "'" + path_ + "' cannot be saved: its own save",
       [&] { save_(archive); });
  return format::from_archive(archive, path_);
}

void SelfSaving::load(const Dict& tree) const {
  store::log_debug("'" + path_ + "' is restored by its own load, through an archive in memory");
  InputArchive archive = format::to_archive(tree, path_);
  call(ErrorCode::kIncompatible, "'" + path_ + "' cannot be restored: its own load",
       [&] { load_(archive); });
}

Dict read_tree(const Dict& saved, const Dict& live, const Place& place, const RestorePlan& plan) {
  const torch::NoGradGuard no_grad;
  const Value other(live);
  std::unordered_map<const c10::TensorImpl*, at::Tensor> known;
  const auto read = [&](const at::Tensor& placeholder, const at::Tensor* counterpart) -> Value {
    at::Tensor& tensor = known[placeholder.unsafeGetTensorImpl()];
    if (!tensor.defined()) {
      const bool has_place = counterpart != nullptr && counterpart->defined();
      const c10::Device device =
          place(placeholder, has_place ? std::make_optional(counterpart->device()) : std::nullopt);
      tensor = plan.load(placeholder).to(device).detach();
      tensor.set_requires_grad(placeholder.requires_grad());
    }
    return tensor;
  };
  return std::move(transform(saved, &other, read).dict());
}

at::Tensor Copier::copy(const at::Tensor& tensor) {
  if (!tensor.defined()) return tensor;
  const torch::NoGradGuard no_grad;
  auto& [original, twin] = known_[tensor.unsafeGetTensorImpl()];
  if (!twin.defined()) {
    original = tensor;
    twin = tensor.detach().clone().set_requires_grad(tensor.requires_grad());
  }
  return twin;
}

Value Copier::copy(const Value& value) {
  return transform(value, nullptr, [&](const at::Tensor& tensor, const at::Tensor*) -> Value {
    return copy(tensor);
  });
}

Dict Copier::copy(const Dict& tree) {
  Value twin = copy(Value(tree));
  return std::move(twin.dict());
}

}  // namespace checkpoint::state
