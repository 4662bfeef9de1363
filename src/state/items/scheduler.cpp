// LibTorch's schedulers. They have no save or load, and their fields are private; private_member.h
// gives access to them. A scheduler is a list of fields. Counters are restored. Configuration,
// which comes from the constructor, is only compared. The learning rates are in the optimizer, and
// come back with it.

#include "state/items/scheduler.h"

#include "compat/private_member.h"
#include "compat/torch_compat.h"
#include "state/forms/scheduler_tree.h"
#include "state/items/numbers.h"
#include "state/plan/restore_plan.h"

#include <checkpoint/error.h>

#include <torch/optim/schedulers/step_lr.h>
#include <torch/torch.h>

#include <charconv>
#include <functional>
#include <set>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace checkpoint::state {
namespace {

TORCH_CHECKPOINT_OPEN_MEMBER(StepCount, torch::optim::LRScheduler::step_count_)
TORCH_CHECKPOINT_OPEN_MEMBER(StepSize, torch::optim::StepLR::step_size_)
TORCH_CHECKPOINT_OPEN_MEMBER(Gamma, torch::optim::StepLR::gamma_)

#if TORCH_CHECKPOINT_HAS_PLATEAU
using Plateau = torch::optim::ReduceLROnPlateauScheduler;
TORCH_CHECKPOINT_OPEN_MEMBER(PlateauMode, Plateau::mode)
TORCH_CHECKPOINT_OPEN_MEMBER(PlateauFactor, Plateau::factor)
TORCH_CHECKPOINT_OPEN_MEMBER(PlateauPatience, Plateau::patience)
TORCH_CHECKPOINT_OPEN_MEMBER(PlateauThreshold, Plateau::threshold)
TORCH_CHECKPOINT_OPEN_MEMBER(PlateauThresholdMode, Plateau::threshold_mode)
TORCH_CHECKPOINT_OPEN_MEMBER(PlateauCooldown, Plateau::cooldown)
TORCH_CHECKPOINT_OPEN_MEMBER(PlateauCooldownCounter, Plateau::cooldown_counter)
TORCH_CHECKPOINT_OPEN_MEMBER(PlateauMinLrs, Plateau::min_lrs)
TORCH_CHECKPOINT_OPEN_MEMBER(PlateauEps, Plateau::eps)
TORCH_CHECKPOINT_OPEN_MEMBER(PlateauBest, Plateau::best)
TORCH_CHECKPOINT_OPEN_MEMBER(PlateauLastEpoch, Plateau::last_epoch)
TORCH_CHECKPOINT_OPEN_MEMBER(PlateauBadEpochs, Plateau::num_bad_epochs)
#endif

// One number or text of a scheduler. A field without `write` is configuration: compared, not
// restored. Only values that fit `type` are written.
struct Field {
  std::string name;
  std::function<Value()> read;
  std::function<void(const Value&)> write;
  internal::NumberType type = {"", 0, false, false};
};

// Returns the shortest text that reads back as the number. For a float that became a double, that
// is the float's text.
std::string text_of(double number) {
  char text[32];
  const auto narrow = static_cast<float>(number);
  const auto end = static_cast<double>(narrow) == number
                       ? std::to_chars(text, text + sizeof text, narrow)
                       : std::to_chars(text, text + sizeof text, number);
  return std::string(text, end.ptr);
}

std::string text_of(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kInt:
      return std::to_string(value.to_int());
    case Value::Kind::kDouble:
      return text_of(value.to_double());
    case Value::Kind::kString:
      return value.to_string();
    case Value::Kind::kList: {
      std::string text;
      for (const Value& item : value.list()) text += (text.empty() ? "" : ", ") + text_of(item);
      return "[" + text + "]";
    }
    default:
      return "a " + kind_text(value);
  }
}

// A scheduler, by its fields.
class SchedulerItem final : public Item {
 public:
  SchedulerItem(std::string name, std::string type, std::vector<Field> fields)
      : Item(std::move(name)), type_(std::move(type)), fields_(std::move(fields)) {}

  ItemEntry entry() const override { return {name(), "scheduler", type_, {}}; }

  Value capture() const override {
    Dict tree;
    for (const Field& field : fields_) tree.insert(field.name, field.read());
    return tree;
  }

  bool has_python_form() const override { return true; }

  void plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) override {
    std::set<std::string> known;
    // A .pth checkpoint holds Python's form.
    const Value tree =
        is_python_scheduler(saved.value) ? to_libtorch_scheduler(saved.value) : saved.value;
    for (const Field& field : fields_) {
      known.insert(field.name);
      plan_field(field, tree.dict().find(field.name), plan);
    }
    for (const auto& [key, value] : tree.dict()) {
      if (known.count(to_string(key)) == 0) plan.unexpected(dotted(name(), to_string(key)));
    }
  }

 private:
  void plan_field(const Field& field, const Value* saved, RestorePlan& plan) const {
    const std::string key = dotted(name(), field.name);
    if (saved == nullptr) {
      plan.missing(key);
      return;
    }
    const Value live = field.read();
    const bool same_kind = saved->kind() == live.kind();
    if (same_kind && field.write) {
      const std::string why = misfit(*saved, "", field.type);
      if (!why.empty()) {
        plan.mismatched(key, why);
        return;
      }
      plan.add_step([&field, value = *saved] { field.write(value); },
                    [&field, live] { field.write(live); });
    } else if (!same_kind || text_of(*saved) != text_of(live)) {
      plan.mismatched(key, text_of(live) + " here, " + text_of(*saved) + " saved");
    }
  }

  std::string type_;
  std::vector<Field> fields_;
};

template <typename Scheduler, typename T>
std::function<Value()> reader(const Scheduler& scheduler, T member) {
  return [&scheduler, member] { return Value(scheduler.*member); };
}

// Makes a field for a constructor argument that never changes later.
template <typename Scheduler, typename T>
Field configuration(std::string name, const Scheduler& scheduler, T member) {
  return {std::move(name), reader(scheduler, member), nullptr};
}

// Makes a field for an integer that is restored.
template <typename Scheduler, typename Class, typename T>
Field counter(std::string name, Scheduler& scheduler, T Class::*member) {
  static_assert(std::is_integral_v<T> && sizeof(T) < sizeof(int64_t));
  const auto write = [&scheduler, member](const Value& value) {
    scheduler.*member = static_cast<T>(value.to_int());
  };
  return {name, reader(scheduler, member), write, internal::number_type<T>()};
}

[[noreturn]] void refuse(const std::string& name) {
  throw Error(ErrorCode::kUnsupported,
              (name.empty() ? "" : "State::add(\"" + name + "\"): ") +
                  "the scheduler's class is not StepLR or ReduceLROnPlateauScheduler, but "
                  "derived from "
                  "one of them or from LRScheduler",
              "", 0,
              "Give the class `checkpoint::Value state_dict() const` and `void "
              "load_state_dict(const checkpoint::Value&)`, and add it as that class.");
}

}  // namespace

std::unique_ptr<Item> make_scheduler_item(std::string name, torch::optim::LRScheduler& scheduler) {
  using torch::optim::StepLR;
  if (typeid(scheduler) != typeid(StepLR)) refuse(name);
  auto& step = static_cast<StepLR&>(scheduler);
  std::vector<Field> fields;
  fields.push_back(counter("step_count", step, member_of(StepCount())));
  fields.push_back(configuration("step_size", step, member_of(StepSize())));
  fields.push_back(configuration("gamma", step, member_of(Gamma())));
  return std::make_unique<SchedulerItem>(std::move(name), "StepLR", std::move(fields));
}

#if TORCH_CHECKPOINT_HAS_PLATEAU
std::unique_ptr<Item> make_scheduler_item(std::string name, Plateau& scheduler) {
  if (typeid(scheduler) != typeid(Plateau)) refuse(name);
  const auto mode = [&scheduler] {
    return Value(scheduler.*member_of(PlateauMode()) == Plateau::min ? "min" : "max");
  };
  const auto threshold_mode = [&scheduler] {
    return Value(scheduler.*member_of(PlateauThresholdMode()) == Plateau::rel ? "rel" : "abs");
  };
  const auto min_lrs = [&scheduler] {
    const std::vector<float>& live = scheduler.*member_of(PlateauMinLrs());
    return Value(Value::List(live.begin(), live.end()));
  };
  const auto set_best = [&scheduler](const Value& value) {
    scheduler.*member_of(PlateauBest()) = static_cast<float>(value.to_double());
  };
  std::vector<Field> fields;
  fields.push_back({"best", reader(scheduler, member_of(PlateauBest())), set_best,
                    internal::number_type<float>()});
  fields.push_back(counter("num_bad_epochs", scheduler, member_of(PlateauBadEpochs())));
  fields.push_back(counter("cooldown_counter", scheduler, member_of(PlateauCooldownCounter())));
  fields.push_back(counter("last_epoch", scheduler, member_of(PlateauLastEpoch())));
  fields.push_back({"mode", mode, nullptr});
  fields.push_back(configuration("factor", scheduler, member_of(PlateauFactor())));
  fields.push_back(configuration("patience", scheduler, member_of(PlateauPatience())));
  fields.push_back(configuration("threshold", scheduler, member_of(PlateauThreshold())));
  fields.push_back({"threshold_mode", threshold_mode, nullptr});
  fields.push_back(configuration("cooldown", scheduler, member_of(PlateauCooldown())));
  fields.push_back({"min_lrs", min_lrs, nullptr});
  fields.push_back(configuration("eps", scheduler, member_of(PlateauEps())));
  return std::make_unique<SchedulerItem>(std::move(name), "ReduceLROnPlateau", std::move(fields));
}
#endif

}  // namespace checkpoint::state
