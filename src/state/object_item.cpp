#include "state/object_item.h"

#include "format/map_tensors.h"
#include "state/restore_plan.h"

#include <checkpoint/error.h>

#include <memory>
#include <utility>

namespace checkpoint::state {
namespace {

// Runs a function of the user's; its errors say which item it was.
template <typename F>
auto call(const std::string& what, ErrorCode code, F&& function) {
  try {
    return function();
  } catch (const Error& error) {
    throw Error(error.code(), what + ": " + error.what());
  } catch (const std::exception& error) {
    throw Error(code, what + ": " + error.what());
  }
}

// Neither load_state_dict's writes into the live tensors nor later training may change the copy.
Value deep_copy(const Value& tree) {
  return format::map_tensors(tree, [](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.detach().clone() : tensor;
  });
}

}  // namespace

ObjectItem::ObjectItem(std::string name, std::function<Value()> read,
                       std::function<void(const Value&)> write)
    : Item(std::move(name)), read_(std::move(read)), write_(std::move(write)) {}

ItemEntry ObjectItem::describe() const { return {name(), "object", "", {}}; }

Value ObjectItem::capture() const {
  return call("the state_dict() of '" + name() + "' failed", ErrorCode::kUnsupported, read_);
}

void ObjectItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  const auto fresh = std::make_shared<Value>(format::map_tensors(
      saved.value, [&plan](const at::Tensor& placeholder) { return plan.load(placeholder); }));
  plan.try_first(
      [this, fresh] {
        call("'" + name() + "' did not take the saved state, and nothing was changed",
             ErrorCode::kIncompatible, [&] { write_(*fresh); });
      },
      [this, before = deep_copy(capture())] { write_(before); });
}

}  // namespace checkpoint::state
