#include "state/items/custom_save_load.h"

#include "base/log.h"
#include "base/user_call.h"
#include "format/torch/memory_archive.h"
#include "format/tree/dense.h"
#include "format/tree/map_tensors.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <algorithm>
#include <utility>

namespace checkpoint::state {
namespace {

using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

// Calls the user's code. An exception becomes an Error that says what was called.
template <typename Call>
void call(ErrorCode code, const std::string& doing, const Call& user_code) {
  try {
    base::call_user(doing.c_str(), user_code);
  } catch (const Error&) {
    throw;
  } catch (const c10::Error& error) {
    throw Error(code, doing + " failed: " + error.what_without_backtrace());
  } catch (const std::exception& error) {
    throw Error(code, doing + " failed: " + error.what());
  }
}

}  // namespace

CustomSaveLoad::CustomSaveLoad(std::string path, std::function<void(OutputArchive&)> save,
                               std::function<void(InputArchive&)> load)
    : path_(std::move(path)), save_(std::move(save)), load_(std::move(load)) {}

Dict CustomSaveLoad::capture() const {
  base::log_debug("'" + path_ + "' is captured by its own save, through an archive in memory");
  OutputArchive archive;
  call(ErrorCode::kUnsupported, "'" + path_ + "' cannot be saved: its own save",
       [&] { save_(archive); });
  return format::from_archive(archive, path_);
}

void CustomSaveLoad::load(const Dict& tree) const {
  base::log_debug("'" + path_ + "' is restored by its own load, through an archive in memory");
  InputArchive archive = format::to_archive(tree, path_);
  call(ErrorCode::kIncompatible, "'" + path_ + "' cannot be restored: its own load",
       [&] { load_(archive); });
}

void CustomSaveLoad::plan_load(const Value& saved, const Place& place, RestorePlan& plan,
                               std::function<void(const Dict&)> calls) const {
  if (!saved.is_dict()) {
    plan.wrong_kind(path_, "a dict", saved);
    return;
  }
  if (calls == nullptr) calls = [this](const Dict& tree) { load(tree); };
  const Dict live = capture();
  if (!can_be_undone(live, path_, plan)) return;
  const auto wanted = std::make_shared<Dict>(read_tree(saved.dict(), path_, live, place, plan));
  const auto before = std::make_shared<std::optional<Dict>>();
  plan.add_step(
      [this, calls, wanted, before] {
        *before = Copier().copy(capture());
        calls(*wanted);
      },
      [calls, before] {
        if (*before) calls(**before);
      });
}

bool is_empty(const Value& tree) {
  return tree.is_dict() && std::all_of(tree.dict().begin(), tree.dict().end(),
                                       [](const auto& entry) { return is_empty(entry.second); });
}

Value read_tree(const Value& saved, const std::string& path, const Value& live, const Place& place,
                const RestorePlan& plan) {
  const torch::NoGradGuard no_grad;
  const auto read = [&](const at::Tensor& placeholder, const format::TensorPlace& at) {
    const at::Tensor tensor =
        plan.load(plan.own_part(placeholder, at)).to(place(placeholder, at)).detach();
    return tensor.set_requires_grad(placeholder.requires_grad());
  };
  return format::map_tensors(saved, path, &live, read);
}

Dict read_tree(const Dict& saved, const std::string& path, const Dict& live, const Place& place,
               const RestorePlan& plan) {
  return std::move(read_tree(Value(saved), path, Value(live), place, plan).dict());
}

Place follow_map_location(const RestorePlan& plan, c10::Device home) {
  return [&plan, home](const at::Tensor& placeholder, const format::TensorPlace& at) {
    return plan.device_for(placeholder, at.key(), format::device_of(at, home));
  };
}

bool can_be_undone(const Value& live, const std::string& path, RestorePlan& plan) {
  bool can_be = true;
  format::for_each_tensor(live, format::Path(path), [&](const Value& entry, const auto& place) {
    const at::Tensor& tensor = entry.to_tensor();
    if (!format::missing_memory(tensor).empty()) can_be = plan.has_memory(tensor, place.text());
  });
  return can_be;
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
  return format::map_tensors(value, [this](const at::Tensor& tensor) { return copy(tensor); });
}

Dict Copier::copy(const Dict& tree) {
  Value twin = copy(Value(tree));
  return std::move(twin.dict());
}

}  // namespace checkpoint::state
