// Finds the optimizers and schedulers of a tree, and changes their form one by one. Python's form
// of a StepLR needs the learning rates of its optimizer, and its optimizer's groups have the first
// rates. A checkpoint does not say which optimizer a scheduler belongs to. So these are written
// only if there is one optimizer, and Python keeps its own otherwise.

#include "state/forms/whole_tree.h"

#include "format/tree/path.h"
#include "state/forms/number.h"
#include "state/forms/scheduler_tree.h"

#include <checkpoint/error.h>

#include <functional>
#include <optional>
#include <utility>

namespace checkpoint::state {
namespace {

using format::dotted;

// Calls `visit(value, path)` for dicts, from the top. It does not go below a dict for which `visit`
// returns true.
using Visit = std::function<bool(Value& value, const std::string& path)>;
void visit_dicts(Value& tree, const std::string& path, const Visit& visit) {
  if (tree.kind() == Value::Kind::kList || tree.kind() == Value::Kind::kTuple) {
    auto& items = tree.kind() == Value::Kind::kList ? tree.list() : tree.tuple();
    for (size_t i = 0; i < items.size(); ++i) {
      visit_dicts(items[i], dotted(path, std::to_string(i)), visit);
    }
  }
  if (!tree.is_dict() || visit(tree, path)) return;
  tree.dict().for_each([&](const Key& key, Value& value) {
    visit_dicts(value, dotted(path, to_string(key)), visit);
  });
}

// Finds the optimizers and schedulers of a tree.
class Finder {
 public:
  using Change = std::function<Value(const Value&, const std::string& path)>;
  using Is = bool (*)(const Value&);

  Finder(Value& tree, const TreeFacts& facts) : tree_(tree), facts_(facts) {}

  // Replaces what `is` accepts, and what in a checkpoint is an item of this kind.
  void replace(const char* kind, Is is, const Change& change) {
    const auto visit = [&](Value& value, const std::string& path) {
      if (!is(value)) return false;
      value = named(path, [&] { return change(value, path); });
      return true;
    };
    if (facts_.items.empty()) return visit_dicts(tree_, "", visit);
    for (const ItemEntry& item : facts_.items) {
      Value* const value = item.kind == kind ? tree_.dict().find(item.name) : nullptr;
      if (value != nullptr) visit(*value, item.name);
    }
  }

  const OptimizerClass* type_of(const std::string& path) const {
    for (const ItemEntry& item : facts_.items) {
      if (item.name == path) return find_optimizer_class(item.type);
    }
    return nullptr;
  }

 private:
  // Says in an error which optimizer it is.
  static Value named(const std::string& path, const std::function<Value()>& action) {
    try {
      return action();
    } catch (const Error& error) {
      if (path.empty()) throw;
      throw Error(error.code(), "'" + path + "': " + error.what());
    }
  }

  Value& tree_;
  const TreeFacts& facts_;
};

// Returns the part of the names that all have: the item of the module, if it is one. Otherwise "".
std::string common_item(const GroupNames& groups, const TreeFacts& facts) {
  for (const ItemEntry& item : facts.items) {
    if (item.kind != "module") continue;
    bool all = true;
    for (const auto& names : groups) {
      for (const std::string& name : names) all = all && name.rfind(item.name + '.', 0) == 0;
    }
    if (all) return item.name + '.';
  }
  return "";
}

void set_names(OptimizerTree& optimizer, const std::string& path, const TreeFacts& facts) {
  const auto found = facts.parameters.find(path);
  if (found == facts.parameters.end() || found->second.size() != optimizer.groups.size()) return;
  const std::string item = common_item(found->second, facts);
  for (size_t g = 0; g < optimizer.groups.size(); ++g) {
    const std::vector<std::string>& names = found->second[g];
    if (names.size() != optimizer.groups[g].ids.size()) continue;
    optimizer.groups[g].names.clear();
    for (const std::string& name : names) {
      optimizer.groups[g].names.push_back(name.empty() ? name : name.substr(item.size()));
    }
  }
}

std::optional<LearningRates> rates_of(const OptimizerTree& optimizer) {
  LearningRates rates;
  for (const OptimizerGroup& group : optimizer.groups) {
    const Value* const rate = group.options.find(std::string("lr"));
    const Value number = rate != nullptr ? plain_double(*rate) : Value();
    if (number.kind() != Value::Kind::kDouble) return std::nullopt;
    rates.push_back(number.to_double());
  }
  return rates;
}

size_t count_optimizers(const TreeFacts& facts) {
  size_t count = 0;
  for (const ItemEntry& item : facts.items) count += item.kind == "optimizer";
  return count;
}

bool is_optimizer(const Value& tree) {
  return is_libtorch_optimizer(tree) || is_python_optimizer(tree);
}

// Whether Python would find no state, or fail: its own conversion of a distributed checkpoint makes
// texts of the indices.
bool has_text_keys(const Value& python_optimizer) {
  for (const auto& entry : python_optimizer.dict().at(std::string("state")).dict()) {
    if (std::holds_alternative<std::string>(entry.first)) return true;
  }
  return false;
}

}  // namespace

Value with_python_forms(Value tree, const TreeFacts& facts, OptimizerForm form, StepCounts counts) {
  Finder finder(tree, facts);
  // The rates of the only optimizer, and what its only StepLR began with.
  size_t optimizers = 0;
  LearningRates now;
  finder.replace("optimizer", is_optimizer, [&](const Value& value, const std::string&) {
    const bool is_libtorch = is_libtorch_optimizer(value);
    const std::optional<LearningRates> rates =
        rates_of(is_libtorch ? read_libtorch_optimizer(value) : read_python_optimizer(value));
    now = ++optimizers == 1 && count_optimizers(facts) <= 1 ? rates.value_or(LearningRates())
                                                            : LearningRates();
    return value;
  });
  size_t step_lrs = 0;
  LearningRates first;
  finder.replace("scheduler", is_libtorch_scheduler, [&](const Value& value, const std::string&) {
    if (value.dict().contains(std::string("step_size"))) {
      first = ++step_lrs == 1 && !now.empty() ? first_rates(value.dict(), now) : LearningRates();
    }
    return to_python_scheduler(value, now);
  });
  finder.replace("optimizer", is_optimizer, [&](const Value& value, const std::string& path) {
    const bool is_libtorch = is_libtorch_optimizer(value);
    if (!is_libtorch && form == OptimizerForm::kPython && !has_text_keys(value)) return value;
    OptimizerTree optimizer =
        is_libtorch ? read_libtorch_optimizer(value) : read_python_optimizer(value);
    if (optimizer.type == nullptr) return value;
    set_names(optimizer, path, facts);
    for (size_t g = 0; g < optimizer.groups.size() && g < first.size(); ++g) {
      optimizer.groups[g].options.set("initial_lr", first[g]);
    }
    return to_python_form(optimizer, finder.type_of(path), form, counts);
  });
  return tree;
}

Value with_libtorch_forms(Value tree, const TreeFacts& facts) {
  Finder finder(tree, facts);
  finder.replace("scheduler", is_python_scheduler, [](const Value& value, const std::string&) {
    return to_libtorch_scheduler(value);
  });
  finder.replace("optimizer", is_python_optimizer,
                 [&](const Value& value, const std::string& path) {
                   const OptimizerTree optimizer = read_python_optimizer(value);
                   // Of another class than LibTorch's: nothing to change.
                   if (optimizer.type == nullptr) return value;
                   return to_libtorch_form(optimizer, finder.type_of(path));
                 });
  return tree;
}

}  // namespace checkpoint::state
