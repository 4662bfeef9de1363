// LibTorch's own optimizers. The tree has the layout of Optimizer::save, so plain LibTorch reads
// it. A restore matches parameters by their names, or by position if a name is unknown. It plans
// new states first. It replaces the old ones last, when nothing can fail any more.

#include "state/items/optimizer.h"

#include "state/forms/optimizer_tree.h"
#include "state/items/custom_optimizer.h"
#include "state/items/optimizer_codec.h"
#include "state/items/optimizer_match.h"
#include "state/plan/restore_plan.h"

#include <c10/util/Type.h>
#include <torch/torch.h>

#include <memory>
#include <numeric>
#include <string_view>
#include <typeinfo>
#include <unordered_map>
#include <utility>

namespace checkpoint::state {
namespace {

using torch::optim::Optimizer;
using torch::optim::OptimizerParamGroup;
using torch::optim::OptimizerParamState;
using Names = std::vector<std::string>;

Value size_tensor(size_t size) { return torch::tensor(static_cast<int64_t>(size)); }

// The position of each name. The names must outlive this.
using Positions = std::unordered_map<std::string_view, int64_t>;

Positions positions(const Names& names) {
  Positions result;
  result.reserve(names.size());
  for (const std::string& name : names) result.emplace(name, static_cast<int64_t>(result.size()));
  return result;
}

bool are_distinct(const Positions& positions, const Names& names) {
  return positions.size() == names.size() && positions.count("") == 0;
}

// Returns how many tensors of a parameter's size the optimizer keeps for it.
uint64_t tensors_for_each(const torch::optim::OptimizerOptions& options) {
  using namespace torch::optim;
  if (const auto* adam = dynamic_cast<const AdamOptions*>(&options)) return 2 + adam->amsgrad();
  if (const auto* adamw = dynamic_cast<const AdamWOptions*>(&options)) return 2 + adamw->amsgrad();
  if (const auto* sgd = dynamic_cast<const SGDOptions*>(&options)) return sgd->momentum() > 0;
  if (const auto* rms = dynamic_cast<const RMSpropOptions*>(&options)) {
    return 1 + (rms->momentum() > 0) + rms->centered();
  }
  return dynamic_cast<const AdagradOptions*>(&options) != nullptr ? 1 : 0;
}

// One of LibTorch's own optimizers, or one of a class derived from it that adds no save or load.
class OptimizerItem final : public Item {
 public:
  // `type` is the class's name: the codec's, or that of a class derived from it.
  OptimizerItem(std::string name, Optimizer& optimizer, const OptimizerCodec& codec,
                std::string type)
      : Item(std::move(name)), optimizer_(optimizer), codec_(codec), type_(std::move(type)) {}

  ItemEntry entry() const override { return {name(), "optimizer", type_, group_sizes(optimizer_)}; }

  std::vector<Names> parameter_names(const ParameterNames& live_names) const override {
    return names_of_parameters(optimizer_, live_names);
  }

  std::vector<at::Tensor> trained() const override { return parameters_of(optimizer_); }

  void visit_states(
      const std::function<void(const at::Tensor&, const at::Tensor&)>& visit) const override {
    for (const at::Tensor& parameter : parameters_of(optimizer_)) {
      const OptimizerParamState* state = find_state(optimizer_, parameter);
      if (codec_.is_flat()) visit(parameter, at::Tensor());
      if (state == nullptr || codec_.is_flat()) continue;
      const Value captured = codec_.capture_state(*state);
      for (const auto& field : captured.dict()) {
        if (field.second.is_tensor()) visit(parameter, field.second.to_tensor());
      }
    }
  }

  uint64_t expected_bytes() const override {
    uint64_t sum = 0;
    for (const OptimizerParamGroup& group : optimizer_.param_groups()) {
      const uint64_t each = group.has_options() ? tensors_for_each(group.options()) : 0;
      for (const at::Tensor& parameter : group.params()) {
        if (parameter.defined()) sum += each * parameter.nbytes();
      }
    }
    return sum;
  }

  Value capture() const override { return capture_optimizer(optimizer_, codec_); }

  bool has_python_form() const override { return true; }

  void plan(const SavedItem& saved, const ParameterNames& live_names, RestorePlan& plan) override {
    const size_t live_groups = optimizer_.param_groups().size();
    if (!compare_group_counts(live_groups, saved.parameter_names.size(), name(), plan)) return;
    const std::vector<Names> names = parameter_names(live_names);
    auto states = std::make_shared<OptimizerStates>();
    const Value tree = in_libtorch_form(saved.value);
    size_t first_index = 0;
    for (size_t g = 0; g < live_groups; ++g) {
      plan_group(saved, tree.dict(), g, first_index, names[g], *states, plan);
      first_index += saved.parameter_names[g].size();
    }
    plan.add_final([this, states] { replace_states(optimizer_, *states); });
  }

 private:
  // A .pth checkpoint holds Python's form.
  Value in_libtorch_form(const Value& saved) const {
    if (!is_python_optimizer(saved)) return saved;
    return to_libtorch_form(read_python_optimizer(saved), find_optimizer_class(codec_.type()));
  }

  // The saved state of the group's parameter i has the key first_index + i.
  void plan_group(const SavedItem& saved, const Dict& tree, size_t g, size_t first_index,
                  const Names& live, OptimizerStates& states, RestorePlan& plan) {
    const std::string path = dotted(name(), "param_groups." + std::to_string(g));
    const Names& in_file = saved.parameter_names[g];
    const std::vector<int64_t> matches = match(in_file, live, path, plan);
    const Dict& saved_states = tree.at("state").dict();
    OptimizerParamGroup& group = optimizer_.param_groups()[g];
    for (size_t p = 0; p < matches.size(); ++p) {
      if (matches[p] < 0) continue;
      const std::string key = std::to_string(first_index + static_cast<size_t>(matches[p]));
      const Value* saved_state = saved_states.find(key);
      if (saved_state == nullptr) continue;  // No step yet: no state.
      plan_state(*saved_state, group.params()[p], live[p], key, states, plan);
    }
    const Dict& saved_group =
        tree.at("param_groups").dict().at("param_groups/" + std::to_string(g)).dict();
    codec_.plan_options(
        saved_group.at("options"), group.options(), [&] { return dotted(path, "options"); }, plan);
  }

  // Returns, for each live parameter, the position of the saved one, or -1. Matches by name if all
  // parameters have distinct names; their order may then differ. Otherwise matches by position, as
  // LibTorch does.
  std::vector<int64_t> match(const Names& in_file, const Names& live, const std::string& path,
                             RestorePlan& plan) const {
    std::vector<int64_t> by_position(live.size());
    std::iota(by_position.begin(), by_position.end(), int64_t{0});
    if (in_file == live) return by_position;  // And by name.
    std::vector<int64_t> matches(live.size(), -1);
    const Positions saved_positions = positions(in_file);
    const Positions live_positions = positions(live);
    if (are_distinct(saved_positions, in_file) && are_distinct(live_positions, live)) {
      for (size_t p = 0; p < live.size(); ++p) {
        const auto found = saved_positions.find(live[p]);
        if (found == saved_positions.end()) {
          plan.missing(dotted(path, live[p]));
        } else {
          matches[p] = found->second;
        }
      }
      for (const std::string& name : in_file) {
        if (live_positions.count(name) == 0) plan.unexpected(dotted(path, name));
      }
      if (codec_.is_flat()) {
        plan.mismatched(path, std::string(codec_.type()) +
                                  " keeps one vector over all parameters, and their order here is "
                                  "not the saved one");
      }
      return matches;
    }
    if (!compare_parameter_counts(live.size(), in_file.size(), path, plan)) return matches;
    compare_parameter_names(live, in_file, path, plan);
    return by_position;
  }

  void plan_state(const Value& saved, const at::Tensor& parameter,
                  const std::string& parameter_name, const std::string& key,
                  OptimizerStates& states, RestorePlan& plan) {
    const auto place = [&] {
      return dotted(name(), "state." + key) +
             (parameter_name.empty() ? "" : " (of " + parameter_name + ")");
    };
    if (!check_shapes(saved, parameter, place, plan)) return;
    auto state =
        codec_.plan_state(saved, find_state(optimizer_, parameter), parameter, place, plan);
    if (state) states.emplace_back(parameter, std::move(state));
  }

  bool check_shapes(const Value& saved, const at::Tensor& parameter, OptimizerPlace place,
                    RestorePlan& plan) const {
    if (!saved.is_dict()) {
      plan.mismatched(place(), "not the state of a parameter");
      return false;
    }
    if (codec_.is_flat()) return compare_flat_sizes(saved.dict(), optimizer_, place, plan);
    return compare_state_shapes(saved.dict(), parameter, place, plan);
  }

  Optimizer& optimizer_;
  const OptimizerCodec& codec_;
  std::string type_;
};

}  // namespace

Value capture_optimizer(const Optimizer& optimizer, const OptimizerCodec& codec) {
  Dict states;
  Dict groups;
  groups.insert("param_groups/size", size_tensor(optimizer.param_groups().size()));
  size_t index = 0;
  for (size_t g = 0; g < optimizer.param_groups().size(); ++g) {
    const OptimizerParamGroup& group = optimizer.param_groups()[g];
    Dict saved_group;
    saved_group.insert("params/size", size_tensor(group.params().size()));
    for (size_t p = 0; p < group.params().size(); ++p, ++index) {
      const std::string key = std::to_string(index);
      saved_group.insert("params/" + std::to_string(p), key);
      if (const OptimizerParamState* state = find_state(optimizer, group.params()[p])) {
        states.insert(key, codec.capture_state(*state));
      }
    }
    saved_group.insert("options", codec.capture_options(group.options()));
    groups.insert("param_groups/" + std::to_string(g), std::move(saved_group));
  }
  Dict tree;
  tree.insert("pytorch_version", "1.5.0");  // Optimizer::load requires it.
  tree.insert("state", std::move(states));
  tree.insert("param_groups", std::move(groups));
  return tree;
}

std::vector<int64_t> group_sizes(const Optimizer& optimizer) {
  std::vector<int64_t> sizes;
  for (const OptimizerParamGroup& group : optimizer.param_groups()) {
    sizes.push_back(static_cast<int64_t>(group.params().size()));
  }
  return sizes;
}

std::vector<at::Tensor> parameters_of(const Optimizer& optimizer) {
  std::vector<at::Tensor> parameters;
  for (const OptimizerParamGroup& group : optimizer.param_groups()) {
    parameters.insert(parameters.end(), group.params().begin(), group.params().end());
  }
  return parameters;
}

std::vector<Names> names_of_parameters(const Optimizer& optimizer,
                                       const ParameterNames& live_names) {
  std::vector<Names> groups;
  for (const OptimizerParamGroup& group : optimizer.param_groups()) {
    Names names;
    for (const at::Tensor& parameter : group.params()) {
      const auto found = live_names.find(parameter.unsafeGetTensorImpl());
      names.push_back(found != live_names.end() ? found->second : "");
    }
    groups.push_back(std::move(names));
  }
  return groups;
}

std::unique_ptr<Item> make_optimizer_item(std::string name, Optimizer& optimizer) {
  if (const OptimizerCodec* codec = find_codec(optimizer)) {
    return std::make_unique<OptimizerItem>(std::move(name), optimizer, *codec, codec->type());
  }
  std::string type = c10::demangle(typeid(optimizer).name());
  if (const OptimizerCodec* codec = find_base_codec(optimizer)) {
    return std::make_unique<OptimizerItem>(std::move(name), optimizer, *codec, std::move(type));
  }
  return make_custom_optimizer_item(std::move(name), optimizer, std::move(type));
}

}  // namespace checkpoint::state
