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
#include <unordered_map>
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
  using Action = std::function<void(Value& value, const std::string& path)>;
  using Is = bool (*)(const Value&);

  Finder(Value& tree, const TreeFacts& facts) : tree_(tree), facts_(facts) {}

  // Calls `action`, which may replace the value, for what `is` accepts. In a checkpoint, only items
  // of this kind count.
  void for_each(const char* kind, Is is, const Action& action) {
    const auto visit = [&](Value& value, const std::string& path) {
      if (!is(value)) return false;
      run(action, value, path);
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
  static void run(const Action& action, Value& value, const std::string& path) {
    try {
      action(value, path);
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

LearningRates rates_of(const OptimizerTree& optimizer) {
  LearningRates rates;
  for (const OptimizerGroup& group : optimizer.groups) {
    const Value* const rate = group.options.find(std::string("lr"));
    const Value number = rate != nullptr ? plain_double(*rate) : Value();
    if (number.kind() != Value::Kind::kDouble) return {};
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

// Whether a state_dict of Python is not as Python writes it. Texts of digits, which a conversion
// from a distributed checkpoint leaves, give it no state at all.
bool needs_repair(const Value& python_optimizer, StepCounts counts) {
  for (const auto& [key, state] : python_optimizer.dict().at(std::string("state")).dict()) {
    if (std::holds_alternative<std::string>(key)) return true;
    const Value* const step = state.is_dict() ? state.dict().find(std::string("step")) : nullptr;
    const bool is_number = step != nullptr && step->kind() == Value::Kind::kInt;
    if (is_number && counts == StepCounts::kTensors) return true;
  }
  return false;
}

OptimizerTree read_optimizer(const Value& tree) {
  return is_libtorch_optimizer(tree) ? read_libtorch_optimizer(tree) : read_python_optimizer(tree);
}

}  // namespace

Value with_python_forms(Value tree, const TreeFacts& facts, OptimizerForm form, StepCounts counts) {
  Finder finder(tree, facts);
  std::unordered_map<const Value*, OptimizerTree> read;  // Each is read once.
  const auto optimizer_at = [&](const Value& value) -> OptimizerTree& {
    const auto known = read.find(&value);
    if (known != read.end()) return known->second;
    return read.emplace(&value, read_optimizer(value)).first->second;
  };
  // The rates of the only optimizer, and what its only StepLR began with.
  size_t optimizers = 0;
  LearningRates now;
  finder.for_each("optimizer", is_optimizer, [&](Value& value, const std::string&) {
    const bool is_only = ++optimizers == 1 && count_optimizers(facts) <= 1;
    now = is_only ? rates_of(optimizer_at(value)) : LearningRates();
  });
  size_t step_lrs = 0;
  LearningRates first;
  finder.for_each("scheduler", is_libtorch_scheduler, [&](Value& value, const std::string&) {
    if (value.dict().contains(std::string("step_size"))) {
      first = ++step_lrs == 1 && !now.empty() ? first_rates(value.dict(), now) : LearningRates();
    }
    value = to_python_scheduler(value, now);
  });
  finder.for_each("optimizer", is_optimizer, [&](Value& value, const std::string& path) {
    const bool is_ready = !is_libtorch_optimizer(value) && form == OptimizerForm::kPython;
    if (is_ready && !needs_repair(value, counts)) return;
    OptimizerTree& optimizer = optimizer_at(value);
    if (optimizer.type == nullptr) return;
    set_names(optimizer, path, facts);
    for (size_t g = 0; g < optimizer.groups.size() && g < first.size(); ++g) {
      optimizer.groups[g].options.set("initial_lr", first[g]);
    }
    value = to_python_form(optimizer, finder.type_of(path), form, counts);
  });
  return tree;
}

Value with_libtorch_forms(Value tree, const TreeFacts& facts) {
  Finder finder(tree, facts);
  finder.for_each("scheduler", is_python_scheduler,
                  [](Value& value, const std::string&) { value = to_libtorch_scheduler(value); });
  finder.for_each("optimizer", is_python_optimizer, [&](Value& value, const std::string& path) {
    const OptimizerTree optimizer = read_python_optimizer(value);
    // Of another class than LibTorch's: nothing to change.
    if (optimizer.type != nullptr) value = to_libtorch_form(optimizer, finder.type_of(path));
  });
  return tree;
}

}  // namespace checkpoint::state
