#include "state/items/rng.h"

#include "compat/accelerator.h"
#include "format/torch/archive_reader.h"
#include "state/plan/restore_plan.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <mutex>
#include <string>
#include <vector>

namespace checkpoint::state {
namespace {

at::Tensor state_of(at::Generator generator) {
  const std::lock_guard<std::mutex> hold(generator.mutex());
  return generator.get_state();
}

void set_state(at::Generator generator, const at::Tensor& state) {
  const std::lock_guard<std::mutex> hold(generator.mutex());
  generator.set_state(state);
}

at::Tensor state_of(const c10::Device& device) {
  return compat::on_device("read the random generator of " + device.str(),
                           [&] { return state_of(compat::default_generator(device)); });
}

void set_state(const c10::Device& device, const at::Tensor& state) {
  compat::on_device("set the random generator of " + device.str(),
                    [&] { set_state(compat::default_generator(device), state); });
}

// Plans to set one generator's state. The generator itself throws for a state of the wrong size or
// without meaning.
void plan_generator(const c10::Device& device, const at::Tensor& placeholder,
                    const std::string& key, RestorePlan& plan) {
  if (placeholder.scalar_type() != c10::kByte || placeholder.dim() != 1) {
    plan.mismatched(key, "not the state of a random generator");
    return;
  }
  const at::Tensor before = state_of(device);
  if (!compat::generator_state_fits(device, placeholder.numel(), before.numel())) {
    plan.mismatched(key, std::to_string(before.numel()) + " bytes here, " +
                             std::to_string(placeholder.numel()) + " saved");
    return;
  }
  const at::Tensor wanted = compat::convert_generator_state(plan.load(placeholder), before);
  plan.add_step([device, wanted] { set_state(device, wanted); },
                [device, before] { set_state(device, before); });
}

}  // namespace

ItemEntry RngItem::entry() const { return {name(), "rng", "", {}}; }

Value RngItem::capture() const {
  Dict states;
  states.insert("cpu", state_of(c10::kCPU));
  for (const c10::Device& device : compat::devices_with_generators_in_use()) {
    states.insert(device.str(), state_of(device));
  }
  return states;
}

void RngItem::plan(const SavedItem& saved, const ParameterNames&, RestorePlan& plan) {
  const Dict& states = saved.value.dict();
  const auto plan_device = [&](const c10::Device& device) {
    const Value* state = states.find(device.str());
    if (state == nullptr) return false;
    plan_generator(device, state->to_tensor(), dotted(name(), device.str()), plan);
    return true;
  };
  if (!plan_device(c10::kCPU)) plan.missing(dotted(name(), "cpu"));
  // A device that was not in use at the save has no saved state, and keeps its own.
  for (const c10::Device& device : compat::devices_with_generators_in_use()) plan_device(device);
}

}  // namespace checkpoint::state
