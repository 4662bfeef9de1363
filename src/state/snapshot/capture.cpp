#include "state/snapshot/capture.h"

#include "format/torch/archive_writer.h"
#include "format/tree/dense.h"
#include "state/items/rng.h"
#include "state/items/state_impl.h"
#include "state/plan/item.h"

#include <utility>

namespace checkpoint::state {

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
  const auto add = [&](const Item& item) {
    Value live = item.capture();
    if (unsaved != nullptr) unsaved->look_at(item, live);
    tree.insert(item.name(), densifier.densify(std::move(live), item.name()));
    result.items.push_back(item.entry());
    if (item.has_any_keys()) result.any_keys.insert(item.name());
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

uint64_t expected_bytes(const State& state) {
  uint64_t sum = 0;
  for (const auto& item : internal::StateAccess::get(state).items) sum += item->expected_bytes();
  return sum;
}

}  // namespace checkpoint::state
