#include "state/items/data_item.h"

#include "format/tree/map_tensors.h"
#include "state/plan/restore_plan.h"

#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

namespace checkpoint::state {
namespace {

bool is_parameter(const at::Tensor& tensor) {
  return tensor.defined() && tensor.requires_grad() && tensor.is_leaf();
}

template <typename Visit>
void for_parameters(const Value& live, const std::string& name, const Visit& visit) {
  format::for_each_tensor(live, format::Path(name), [&](const Value& value, const auto& path) {
    if (is_parameter(value.to_tensor())) visit(value.to_tensor(), path);
  });
}

// Plans the tensors of a saved tree. Live parameters are restored in place, other tensors in new
// memory.
class TensorPlaces {
 public:
  TensorPlaces(const std::string& name, const Value& live, RestorePlan& plan)
      : name_(name), live_(live), plan_(plan) {}

  // Returns the tree to put into the live object. Empty if a live parameter was not saved, because
  // a container without it must not replace this one.
  std::optional<Value> plan(const Value& saved) {
    Value fresh = format::map_tensors(
        saved, name_, &live_, [this](const at::Tensor& placeholder, const format::TensorPlace& at) {
          return plan_one(placeholder, at);
        });
    bool complete = true;
    for_parameters(live_, name_, [&](const at::Tensor& parameter, const format::Path& path) {
      if (planned_.count(parameter.unsafeGetTensorImpl()) != 0) return;
      plan_.missing(path.text());
      complete = false;
    });
    if (!complete) return {};
    return fresh;
  }

 private:
  at::Tensor plan_one(const at::Tensor& placeholder, const format::TensorPlace& at) {
    const std::string key = at.key();
    if (at.counterpart != nullptr && is_parameter(*at.counterpart) &&
        planned_.insert(at.counterpart->unsafeGetTensorImpl()).second) {
      plan_.restore_in_place(*at.counterpart, placeholder, key);
      return *at.counterpart;
    }
    at::Tensor fresh =
        plan_.restore_new(plan_.own_part(placeholder, at), key, format::device_of(at, c10::kCPU));
    return fresh.set_requires_grad(placeholder.requires_grad());
  }

  const std::string& name_;
  const Value& live_;
  RestorePlan& plan_;
  std::unordered_set<const c10::TensorImpl*> planned_;
};

}  // namespace

DataItem::DataItem(std::string name, internal::LiveData data)
    : Item(std::move(name)), data_(std::move(data)) {}

void DataItem::name_parameters(ParameterNames& names) const {
  if (!data_.may_hold_tensors) return;
  for_parameters(capture(), name(), [&](const at::Tensor& parameter, const format::Path& path) {
    names.emplace(parameter.unsafeGetTensorImpl(), path.text());
  });
}

ItemEntry DataItem::entry() const { return {name(), "value", data_.type, {}}; }

Value DataItem::capture() const { return data_.read(); }

std::function<void()> DataItem::prepare(const Value& saved, RestorePlan& plan) const {
  std::vector<internal::Misfit> misfits;
  auto put = data_.prepare(internal::SavedData(saved, name(), misfits));
  if (misfits.empty()) return put;
  for (const internal::Misfit& misfit : misfits) plan.mismatched(misfit.key, misfit.why);
  return nullptr;
}

void DataItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  if (!plan.selection().takes(name())) return;
  auto put = prepare(saved.value, plan);
  if (put && data_.may_hold_tensors) {
    // The placeholders fit. Now prepare it again, with the tensors that will have the data.
    const auto fresh = TensorPlaces(name(), capture(), plan).plan(saved.value);
    put = fresh ? prepare(*fresh, plan) : nullptr;
  }
  if (put) plan.add_final(std::move(put));
}

}  // namespace checkpoint::state
