#include "format/weights.h"

#include "base/near_names.h"
#include "format/save_tree.h"
#include "format/torch/archive_writer.h"
#include "format/tree/nested.h"
#include "format/tree/path.h"
#include "format/tree/tree_json.h"

#include <checkpoint/error.h>
#include <checkpoint/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint {

Dict format::to_dict(const StateDict& dict) {
  Dict result;
  for (const auto& entry : dict) result.insert(entry.key(), entry.value());
  return result;
}

std::string format::a_kind_of(const Value& tree) {
  const std::string kind = kind_text(tree);
  const bool vowel = kind.find_first_of("aeiou") == 0;
  return (vowel ? "an " : "a ") + kind;
}

const Value& format::choose(const Value& tree, const std::string& item, const std::string& path) {
  if (item.empty()) return tree;
  if (!tree.is_dict()) {
    throw Error(ErrorCode::kNotFound,
                "the file has no item '" + item + "': it holds " + a_kind_of(tree), path);
  }
  const Value* const chosen = tree.dict().find(item);
  if (chosen != nullptr) return *chosen;
  throw Error(ErrorCode::kNotFound,
              "the file has no item '" + item + "'" + base::instead_of(item, keys_of(tree.dict())),
              path);
}

namespace {

// Nests the modules as LibTorch reads them. Stays flat if the names do not allow nesting.
Dict to_archive(const StateDict& dict) {
  Dict flat = format::to_dict(dict);
  Dict with_modules = flat;
  for (const std::string& name : dict.empty_modules()) {
    if (!with_modules.contains(name)) with_modules.insert(name, Dict());
  }
  std::optional<Dict> modules = format::nested(with_modules);
  return modules && format::can_be_archive(*modules) ? std::move(*modules) : std::move(flat);
}

StateDict weights_of(const Value& tree) {
  StateDict weights;
  for (const auto& [name, tensor] : format::named_tensors(tree)) weights.insert(name, tensor);
  std::vector<std::string> empty_modules;
  if (tree.is_dict()) format::find_empty_modules(tree.dict(), "", empty_modules);
  weights.empty_modules(std::move(empty_modules));
  return weights;
}

}  // namespace

void save(const StateDict& dict, const std::string& path, const SaveOptions& options) {
  const bool archive = format::format_for(path, options) == Format::kArchive;
  format::save_tree(Value(archive ? to_archive(dict) : format::to_dict(dict)),
                    format::RootDict::kOrdered, path, options);
}

StateDict load_weights(const std::string& path, const LoadOptions& options,
                       const std::string& item) {
  return weights_of(format::choose(load(path, options), item, path));
}

}  // namespace checkpoint
