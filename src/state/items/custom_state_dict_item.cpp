#include "state/items/custom_state_dict_item.h"

#include "base/user_call.h"
#include "state/items/custom_save_load.h"
#include "state/plan/restore_plan.h"

#include <checkpoint/error.h>

#include <memory>
#include <utility>

namespace checkpoint::state {
namespace {

// Calls a function of the user. Its errors get `what` before them, which names the item.
template <typename F>
auto call(const std::string& what, ErrorCode code, F&& function) {
  try {
    return base::call_user("it", function);
  } catch (const Error& error) {
    throw Error(error.code(), what + ": " + error.what());
  } catch (const std::exception& error) {
    throw Error(code, what + ": " + error.what());
  }
}

}  // namespace

CustomStateDictItem::CustomStateDictItem(std::string name, std::function<Value()> read,
                                         std::function<void(const Value&)> write, Remember remember)
    : Item(std::move(name)),
      read_(std::move(read)),
      write_(std::move(write)),
      remember_(std::move(remember)) {
  if (remember_) return;
  remember_ = [this]() -> std::function<void()> {
    // A copy, so that neither load_state_dict nor training changes it.
    return [this, before = Copier().copy(capture())] { write_(before); };
  };
}

ItemEntry CustomStateDictItem::entry() const { return {name(), "object", "", {}}; }

Value CustomStateDictItem::capture() const {
  return call("the state_dict() of '" + name() + "' failed", ErrorCode::kUnsupported, read_);
}

void CustomStateDictItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  const Value live = capture();
  if (!can_be_undone(live, name(), plan)) return;
  const auto fresh = std::make_shared<Value>(
      read_tree(saved.value, name(), live, follow_map_location(plan), plan));
  plan.add_step(
      [this, fresh] {
        call("'" + name() + "' rejected the saved state; nothing was changed",
             ErrorCode::kIncompatible, [&] { write_(*fresh); });
      },
      remember_());
}

}  // namespace checkpoint::state
