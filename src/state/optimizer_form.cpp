#include "state/forms/whole_tree.h"
#include "store/directory/verify.h"
#include "store/io/file_system.h"

#include <checkpoint/state_dict.h>

#include <string>
#include <utility>

namespace checkpoint {
namespace {

// Reads what a checkpoint says of its items.
state::TreeFacts facts_of(const std::string& checkpoint) {
  if (checkpoint.empty()) return {};
  const store::VerifiedCheckpoint opened =
      store::open_checkpoint(store::posix_file_system(), checkpoint, Verify::kWhileReading);
  const store::TensorTable table = opened.tensor_table();
  state::TreeFacts facts{opened.manifest.items, table.optimizer_parameters};
  // `load` sees the items of rank 0.
  const auto own = table.of_ranks.find(0);
  if (own == table.of_ranks.end()) return facts;
  for (const auto& [item, names] : own->second.optimizer_parameters) {
    facts.parameters[item] = names;
  }
  return facts;
}

}  // namespace

Value with_optimizer_form(const Value& tree, OptimizerForm form, const std::string& checkpoint) {
  const state::TreeFacts facts = facts_of(checkpoint);
  if (form == OptimizerForm::kLibTorch) return state::with_libtorch_forms(tree, facts);
  return state::with_python_forms(tree, facts, form, state::StepCounts::kTensors);
}

}  // namespace checkpoint
