// An optimizer of the user's own class. What its save writes is restored by its load. Before that,
// the parameters' names and numbers are compared, because the archive itself has only their
// positions. After the load, complete_group adds what LibTorch's own reading leaves out.

#include "state/items/custom_optimizer.h"

#include "compat/torch_compat.h"
#include "format/torch/memory_archive.h"
#include "state/items/custom_save_load.h"
#include "state/items/optimizer.h"
#include "state/items/optimizer_match.h"
#include "state/plan/restore_plan.h"

#include <torch/torch.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace checkpoint::state {
namespace {

using torch::optim::Optimizer;
using torch::optim::OptimizerParamGroup;
using Names = std::vector<std::string>;

const Dict* find_dict(const Dict& tree, const std::string& key) {
  const Value* value = tree.find(key);
  return value != nullptr && value->is_dict() ? &value->dict() : nullptr;
}

// Restores what torch::optim::serialize writes for a group but does not read back. LibTorch 1.13
// does not change the options. 2.14 treats an option with its default value as not set. Both keep
// the state of a parameter that has none in the archive.
void complete_group(Optimizer& optimizer, OptimizerParamGroup& group, const Dict& saved_group,
                    const Dict& saved_states, const std::string& path) {
  const Dict* options = find_dict(saved_group, "options");
  if (options != nullptr && group.has_options()) {
    torch::serialize::InputArchive archive = format::to_archive(*options, path);
    group.options().serialize(archive);
  }
  for (size_t p = 0; p < group.params().size(); ++p) {
    const Value* key = saved_group.find("params/" + std::to_string(p));
    const bool known = key != nullptr && key->kind() == Value::Kind::kString;
    if (known && !saved_states.contains(key->to_string())) {
      optimizer.state().erase(compat::state_key(group.params()[p]));
    }
  }
}

// An optimizer that is saved and restored by its class's own functions.
class CustomOptimizerItem final : public Item {
 public:
  CustomOptimizerItem(std::string name, Optimizer& optimizer, std::string type)
      : Item(name),
        optimizer_(optimizer),
        type_(std::move(type)),
        object_(
            std::move(name),
            [&optimizer](torch::serialize::OutputArchive& archive) { optimizer.save(archive); },
            [&optimizer](torch::serialize::InputArchive& archive) { optimizer.load(archive); }) {}

  ItemEntry entry() const override { return {name(), "optimizer", type_, group_sizes(optimizer_)}; }

  std::vector<Names> parameter_names(const ParameterNames& live_names) const override {
    return names_of_parameters(optimizer_, live_names);
  }

  Value capture() const override { return object_.capture(); }

  std::vector<at::Tensor> trained() const override { return parameters_of(optimizer_); }

  // Nobody knows which of its tensors belong to which parameter.
  void visit_states(
      const std::function<void(const at::Tensor&, const at::Tensor&)>& visit) const override {
    for (const at::Tensor& parameter : trained()) visit(parameter, at::Tensor());
  }

  std::vector<std::string> unsaved(const Value& live) const override {
    const auto& groups = optimizer_.param_groups();
    const bool has_state =
        !optimizer_.state().empty() ||
        std::any_of(groups.begin(), groups.end(),
                    [](const OptimizerParamGroup& group) { return group.has_options(); });
    if (!has_state || !is_empty(live)) return {};
    return {"the save() of '" + name() + "', of the class " + type_ +
            ", writes nothing: neither its state nor its options come back"};
  }

  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override {
    if (!compare(saved, parameter_names(live_names), plan)) return;
    object_.plan_load(saved.value, place(plan), plan, [this](const Dict& tree) { load(tree); });
  }

 private:
  // Compares the parameters, because the archive identifies a state only by its parameter's
  // position.
  bool compare(const SavedItem& saved, const std::vector<Names>& live, RestorePlan& plan) const {
    const std::vector<Names>& in_file = saved.parameter_names;
    if (!compare_group_counts(live.size(), in_file.size(), name(), plan)) return false;
    bool fits = true;
    for (size_t g = 0; g < live.size(); ++g) {
      const std::string path = dotted(name(), "param_groups." + std::to_string(g));
      fits = compare_parameter_counts(live[g].size(), in_file[g].size(), path, plan) &&
             compare_parameter_names(live[g], in_file[g], path, plan) && fits;
    }
    return fits;
  }

  // A state goes to the device where its parameters will be. A scalar without a counterpart goes to
  // the CPU, where it works for every device.
  Place place(const RestorePlan& plan) const {
    std::map<std::string, c10::Device> after;
    std::optional<c10::Device> home;
    for (const OptimizerParamGroup& group : optimizer_.param_groups()) {
      for (const at::Tensor& parameter : group.params()) {
        const c10::Device device = plan.device_after(parameter);
        after.emplace(parameter.device().str(), device);
        if (!home) home = device;
      }
    }
    return [after, home](const at::Tensor& placeholder, const format::TensorPlace& at) {
      if (placeholder.dim() == 0) return format::device_of(at, c10::kCPU);
      if (at.counterpart == nullptr) return home.value_or(c10::kCPU);
      const c10::Device live = format::device_of(at, c10::kCPU);
      const auto found = after.find(live.str());
      return found != after.end() ? found->second : live;
    };
  }

  void load(const Dict& tree) {
    object_.load(tree);
    const Dict* states = find_dict(tree, "state");
    const Dict* groups = find_dict(tree, "param_groups");
    if (states == nullptr || groups == nullptr) return;
    for (size_t g = 0; g < optimizer_.param_groups().size(); ++g) {
      const std::string key = "param_groups/" + std::to_string(g);
      if (const Dict* group = find_dict(*groups, key)) {
        complete_group(optimizer_, optimizer_.param_groups()[g], *group, *states,
                       dotted(name(), key));
      }
    }
  }

  Optimizer& optimizer_;
  std::string type_;
  CustomSaveLoad object_;
};

}  // namespace

std::unique_ptr<Item> make_custom_optimizer_item(std::string name, Optimizer& optimizer,
                                                 std::string type) {
  return std::make_unique<CustomOptimizerItem>(std::move(name), optimizer, std::move(type));
}

}  // namespace checkpoint::state
