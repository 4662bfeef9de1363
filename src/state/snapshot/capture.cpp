#include "state/snapshot/capture.h"

#include "base/shape_text.h"
#include "format/torch/archive_writer.h"
#include "format/tree/dense.h"
#include "state/forms/whole_tree.h"
#include "state/items/rng.h"
#include "state/items/state_impl.h"
#include "state/plan/item.h"
#include "state/plan/shards.h"

#include <checkpoint/error.h>

#include <unordered_set>
#include <utility>

namespace checkpoint::state {
namespace {

// Finds the tensors of which this rank has only a part.
class ShardSearch {
 public:
  ShardSearch(const std::vector<std::unique_ptr<Item>>& items, const std::vector<Shard>& shards)
      : all_(shards), shards_(shards) {
    if (shards_.empty()) return;
    for (const auto& item : items) {
      if (item->is_per_rank()) continue;
      item->visit_states([&](const at::Tensor& parameter, const at::Tensor& state) {
        const Shard* const shard = shards_.find(parameter);
        if (shard == nullptr) return;
        const bool is_whole = parameter.sizes() == at::IntArrayRef(shard->global_shape);
        if (is_whole && !state.defined()) return;
        if (!state.defined() || state.sizes() != parameter.sizes()) refuse_state(*item);
        shards_.add(state, *shard);
      });
    }
  }

  void look_at(const Item& item, const Value& captured) {
    if (shards_.empty() || item.is_per_rank()) return;
    std::unordered_set<std::string> keys;
    format::for_each_tensor(captured, format::Path(item.name()),
                            [&](const Value& value, const format::Path& path) {
                              const std::string key = path.text();
                              const bool is_new = keys.insert(key).second;
                              if (const Shard* shard = shards_.find(value.to_tensor())) {
                                add(*shard, value.to_tensor(), key);
                              }
                              if (!is_new && places_.count(key) != 0) refuse_twins(key);
                            });
  }

  std::unordered_map<std::string, ShardPlace> take() {
    for (const Shard& shard : all_) {
      if (used_.count(&shard) == 0) refuse_unused(shard);
    }
    return std::move(places_);
  }

 private:
  void add(const Shard& shard, const at::Tensor& live, const std::string& key) {
    // What an optimizer keeps for it is found as well, and does not count.
    if (live.is_same(shard.tensor) || live.is_alias_of(shard.tensor)) used_.insert(&shard);
    places_[key] = {shard.global_shape, shard.offsets, shard.replica == 0};
  }

  [[noreturn]] static void refuse_state(const Item& item) {
    throw Error(ErrorCode::kUnsupported,
                "what the optimizer '" + item.name() +
                    "' keeps for a part of a larger tensor cannot be divided as that is",
                "", 0,
                "Add it with PerRank(), or use an optimizer that keeps tensors of the "
                "parameters' sizes.");
  }

  [[noreturn]] static void refuse_twins(const std::string& key) {
    throw Error(
        ErrorCode::kUnsupported,
        "two tensors have the key '" + key + "', and a part of a larger tensor is among them", "",
        0, "Give them names without dots.");
  }

  [[noreturn]] static void refuse_unused(const Shard& shard) {
    throw Error(ErrorCode::kInvalidArgument,
                "State::shard describes a tensor of the sizes " +
                    base::shape_text(shard.tensor.sizes()) + " at " +
                    base::shape_text(shard.offsets) + ", which no shared item of the State holds",
                "", 0,
                "Add the item that holds it, without PerRank(). If the tensor was replaced, make "
                "the State again.");
  }

  const std::vector<Shard>& all_;
  Shards shards_;
  std::unordered_map<std::string, ShardPlace> places_;
  std::unordered_set<const Shard*> used_;
};

}  // namespace

void check_item_names(const State& state, Format format) {
  if (format != Format::kArchive) return;
  for (const auto& item : internal::StateAccess::get(state).items) {
    format::check_archive_name(item->name(), item->name());
  }
}

Capture capture(const State& state, const Progress& progress, OnDevice on_device,
                Unsaved* unsaved) {
  const auto& live = internal::StateAccess::get(state);
  ParameterNames names;
  for (const auto& item : live.items) item->name_parameters(names);

  Capture result;
  Dict tree;
  format::Densifier densifier(on_device);
  ShardSearch shards(live.items, live.shards);
  const auto add = [&](const Item& item) {
    Value live = item.capture();
    shards.look_at(item, live);
    if (unsaved != nullptr) unsaved->look_at(item, live);
    tree.insert(item.name(), densifier.densify(std::move(live), item.name()));
    result.items.push_back(item.entry());
    if (item.has_any_keys()) result.any_keys.insert(item.name());
    if (item.has_python_form()) result.python_forms.insert(item.name());
    if (item.is_per_rank()) result.per_rank.insert(item.name());
    auto parameters = item.parameter_names(names);
    if (!parameters.empty()) {
      result.optimizer_parameters.emplace(item.name(), std::move(parameters));
    }
    auto eval_modules = item.eval_modules();
    if (!eval_modules.empty()) result.eval_modules.emplace(item.name(), std::move(eval_modules));
  };
  for (const auto& item : live.items) add(*item);
  if (live.rng) add(RngItem());
  result.shards = shards.take();
  result.devices = densifier.devices();
  result.copies = densifier.copies();
  result.tensor_bytes = densifier.tensor_bytes();
  result.tensor_count = densifier.tensor_count();
  tree.insert("epoch", progress.epoch);
  tree.insert("step", progress.step);
  tree.insert("loss", progress.loss);
  result.tree = std::move(tree);
  return result;
}

void use_python_forms(Capture& captured) {
  TreeFacts facts;
  for (const ItemEntry& item : captured.items) {
    if (captured.python_forms.count(item.name) != 0) facts.items.push_back(item);
  }
  if (facts.items.empty()) return;
  // Numbers for the counts of steps: they come back exactly, and as no placeholders.
  captured.tree = with_python_forms(std::move(captured.tree), facts, OptimizerForm::kPython,
                                    StepCounts::kNumbers);
}

uint64_t expected_bytes(const State& state) {
  uint64_t sum = 0;
  for (const auto& item : internal::StateAccess::get(state).items) sum += item->expected_bytes();
  return sum;
}

}  // namespace checkpoint::state
