#include "format/open_content.h"
#include "format/tree/path.h"
#include "format/weights.h"
#include "state/items/module.h"
#include "state/plan/restore_plan.h"
#include "state/restore.h"
#include "store/io/file.h"

#include <checkpoint/error.h>
#include <checkpoint/state_dict.h>

#include <torch/torch.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint {
namespace {

// Only a dict has names that can be a module's; a list or a tensor has none.
const Value& need_names(const Value& tree, const std::string& path) {
  if (tree.is_dict()) return tree;
  throw Error(ErrorCode::kIncompatible,
              "the file holds " + format::a_kind_of(tree) + ", not named tensors", path, 0,
              "Save a module's state_dict().");
}

// Finds the modules without tensors that LibTorch's load asks for. It does not ask for
// torch::nn::Functional.
void find_empty_modules(const torch::nn::Module& module, const std::string& path,
                        std::vector<std::string>& names) {
  bool empty = module.named_parameters(/*recurse=*/false).is_empty() &&
               module.named_buffers(/*recurse=*/false).is_empty();
  for (const auto& child : module.named_children()) {
    if (!child.value()->is_serializable()) continue;
    empty = false;
    find_empty_modules(*child.value(), format::dotted(path, child.key()), names);
  }
  if (empty && !path.empty()) names.push_back(path);
}

}  // namespace

StateDict state_dict(const torch::nn::Module& module) {
  StateDict result;
  for (const auto& parameter : module.named_parameters()) {
    result.insert(parameter.key(), parameter.value().detach());
  }
  for (const auto& buffer : module.named_buffers()) {
    result.insert(buffer.key(), buffer.value().detach());
  }
  std::vector<std::string> empty_modules;
  find_empty_modules(module, "", empty_modules);
  return result.empty_modules(std::move(empty_modules));
}

RestoreReport load_state_dict(torch::nn::Module& module, const StateDict& dict, Strict strict) {
  return load_state_dict(module, dict, RestoreOptions().strict(strict));
}

RestoreReport load_state_dict(torch::nn::Module& module, const StateDict& dict,
                              const RestoreOptions& options) {
  const state::TensorSource source;
  state::RestorePlan plan(source, options);
  const Value saved = format::to_dict(dict);
  state::plan_whole_module(module, saved, "", plan);
  plan.require_fit("");
  plan.run();
  return plan.report();
}

RestoreReport load_state_dict(torch::nn::Module& module, const std::string& path,
                              const RestoreOptions& options, const std::string& item) {
  const format::OpenContent content(path, options.verify(), options.on_transfer(),
                                    options.read_once());
  const std::string& name = content.name();
  format::DecodedArchive archive = content.decode();
  const auto saved_device = [](const format::StoredTensor& stored) { return stored.device; };
  const state::TensorSource source{content.files(), &archive, saved_device};
  state::RestorePlan plan(source, options);
  const Value& saved = format::choose(archive.tree(), item, name);
  state::plan_whole_module(module, need_names(saved, name), name, plan, archive.dropped());
  plan.require_fit(name);
  plan.run();
  return plan.report();
}

}  // namespace checkpoint
