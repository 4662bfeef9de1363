// Takes a saved optimizer apart, whatever its form, and writes the other one. Both forms have the
// same options and states but for what follows:
//
//   - Python has options that LibTorch lacks (optimizer_class.h). We write their defaults, because
//     Python's load replaces whole groups, and some missing options are a KeyError in its next
//     step.
//   - Python's "step" is a tensor of float32. It stops counting at 2^24 steps, so from there on we
//     write float64 for all parameters: Python keeps that, and counts on.
//   - Two parameters must never share one "step" tensor: Python adds to it in place.
//   - LBFGS's "H_diag" is the int 1 in Python where LibTorch has an integer tensor, and "al" is
//     scratch memory in both.

#include "state/forms/optimizer_tree.h"

#include "base/in_quotes.h"
#include "base/log.h"
#include "format/tree/path.h"
#include "state/forms/number.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory_resource>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace checkpoint::state {
namespace {

using base::in_quotes;
using format::dotted;

constexpr int64_t kFloatCounts = int64_t{1} << 24;  // A float32 counts no further.
const std::string kState = "state";
const std::string kGroups = "param_groups";
const std::string kParams = "params";
const std::string kNames = "param_names";
const std::string kStep = "step";

[[noreturn]] void refuse(const std::string& what, const char* hint = "") {
  throw Error(ErrorCode::kIncompatible, what, "", 0, hint);
}

const Dict& dict_at(const Dict& dict, const std::string& key, const std::string& path) {
  const Value* const value = dict.find(key);
  if (value == nullptr || !value->is_dict()) {
    refuse(in_quotes(dotted(path, key)) + " is missing, or not a dict");
  }
  return value->dict();
}

bool is_index(const std::string& text) {
  return !text.empty() && text.size() <= 18 &&
         text.find_first_not_of("0123456789") == std::string::npos &&
         (text.size() == 1 || text[0] != '0');
}

// The keys of parameters, which must all be of one kind.
class KeyKind {
 public:
  // Returns the key without what makes digits of a text differ from a number.
  Key normal(const Key& key, const std::string& place) {
    const bool is_text = std::holds_alternative<std::string>(key);
    const bool is_name = is_text && !is_index(std::get<std::string>(key));
    note(is_text_, is_text, place);
    note(is_name_, is_name, place);
    if (!is_text || is_name) return key;
    return static_cast<int64_t>(std::stoll(std::get<std::string>(key)));
  }
  bool is_name() const { return is_name_.value_or(false); }

 private:
  static void note(std::optional<bool>& known, bool is, const std::string& place) {
    if (known.value_or(is) != is) {
      refuse(in_quotes(place) +
                 ": the keys of parameters are of several kinds (integers, texts of digits, names)",
             "Save the optimizer's state_dict again.");
    }
    known = is;
  }

  std::optional<bool> is_text_;
  std::optional<bool> is_name_;
};

std::vector<std::string> names_of(const Value& names, size_t count, const std::string& path) {
  std::vector<std::string> result;
  if (names.kind() == Value::Kind::kList) {
    for (const Value& name : names.list()) {
      if (name.kind() == Value::Kind::kString) result.push_back(name.to_string());
    }
  }
  if (result.size() != count) {
    refuse(in_quotes(path) + " is not a list of " + std::to_string(count) + " names");
  }
  return result;
}

// Reads Python's form.
class PythonReader {
 public:
  OptimizerTree read(const Value& tree) {
    if (!is_python_optimizer(tree)) {
      refuse(
          "not the state_dict of a Python optimizer: it has no 'state' and 'param_groups', or a "
          "group without 'params'");
    }
    const Value::List& groups = tree.dict().at(kGroups).list();
    for (size_t g = 0; g < groups.size(); ++g) {
      read_group(groups[g].dict(), dotted(kGroups, std::to_string(g)));
    }
    result_.is_python = true;
    result_.is_by_name = params_.is_name();
    read_states(tree.dict().at(kState).dict());
    if (!result_.groups.empty()) {
      result_.type = find_optimizer_class(result_.groups.front().options);
    }
    return std::move(result_);
  }

 private:
  void read_group(const Dict& saved, const std::string& path) {
    OptimizerGroup group;
    const Value::List& params = saved.at(kParams).list();
    const std::string place = dotted(path, kParams);
    for (const Value& param : params) {
      const bool is_text = param.kind() == Value::Kind::kString;
      const Key key = params_.normal(is_text ? Key(param.to_string()) : Key(param.to_int()), place);
      if (std::holds_alternative<std::string>(key)) {
        group.names.push_back(std::get<std::string>(key));
      }
      // Names get indices by their place, as in Python. A parameter may come twice.
      const auto index = static_cast<int64_t>(count_++);
      const auto known =
          ids_.emplace(key, std::holds_alternative<int64_t>(key) ? std::get<int64_t>(key) : index);
      group.ids.push_back(known.first->second);
    }
    for (const auto& [key, value] : saved) {
      const std::string name = to_string(key);
      if (name == kNames && group.names.empty()) {
        group.names = names_of(value, params.size(), dotted(path, kNames));
      }
      if (name != kParams && name != kNames) group.options.insert(key, value);
    }
    result_.groups.push_back(std::move(group));
  }

  void read_states(const Dict& states) {
    KeyKind kind;
    std::pmr::unordered_map<int64_t, const Value*> by_id(&arena_);
    by_id.reserve(states.size());
    for (const auto& [key, value] : states) {
      const auto known = ids_.find(kind.normal(key, kState));
      if (known == ids_.end()) {
        result_.unknown.push_back(dotted(kState, to_string(key)));
        continue;
      }
      if (!value.is_dict()) refuse(in_quotes(dotted(kState, to_string(key))) + " is not a dict");
      by_id.emplace(known->second, &value);
    }
    for (OptimizerGroup& group : result_.groups) {
      for (const int64_t id : group.ids) {
        const auto found = by_id.find(id);
        group.states.push_back(found != by_id.end() ? found->second : nullptr);
      }
    }
  }

  OptimizerTree result_;
  KeyKind params_;
  std::pmr::monotonic_buffer_resource arena_;  // Entries come one by one, and go together.
  std::pmr::unordered_map<Key, int64_t> ids_{&arena_};
  size_t count_ = 0;
};

// Returns a LibTorch state in Python's form. `wide`: its step is a float64.
Dict python_state(const Dict& state, StepCounts counts, bool wide) {
  Dict result;
  for (const auto& [key, value] : state) {
    const std::string name = to_string(key);
    if (name == "al") continue;
    if (name == kStep && value.kind() == Value::Kind::kInt && counts == StepCounts::kTensors) {
      const auto steps = static_cast<double>(value.to_int());
      result.insert(key, at::scalar_tensor(steps, wide ? at::kDouble : at::kFloat));
    } else if (name == "H_diag" && value.is_tensor() && value.to_tensor().device().is_cpu() &&
               value.to_tensor().scalar_type() == at::kLong) {
      result.insert(key, plain_number(value));
    } else {
      result.insert(key, value);
    }
  }
  return result;
}

bool counts_beyond_float(const OptimizerTree& optimizer) {
  for (const OptimizerGroup& group : optimizer.groups) {
    for (const Value* state : group.states) {
      const Value* const step = state != nullptr ? state->dict().find(kStep) : nullptr;
      if (step == nullptr || step->kind() != Value::Kind::kInt) continue;
      if (step->to_int() >= kFloatCounts) return true;
    }
  }
  return false;
}

// Options that both programs have, then Python's own, in Python's order; then what no class has.
Dict python_options(const Dict& options, const OptimizerClass& type) {
  Dict result;
  for (const PythonOption& option : type.options) {
    const std::string name = option.name;
    if (const Value* value = options.find(name)) {
      result.insert(name, *value);
    } else if (option.normal) {
      result.insert(name, *option.normal);
    }
  }
  // LibTorch may hold "none" here, Python never does.
  Value* const most = result.find(std::string("max_eval"));
  if (most != nullptr && most->is_none()) *most = options.at("max_iter").to_int() * 5 / 4;
  for (const auto& [key, value] : options) {
    if (!result.contains(key)) result.insert(key, value);
  }
  return result;
}

void require_names(const OptimizerTree& optimizer) {
  std::set<std::string> met;
  for (const OptimizerGroup& group : optimizer.groups) {
    bool fits = group.names.size() == group.ids.size();
    for (const std::string& name : group.names) {
      fits = fits && !name.empty() && met.insert(name).second;
    }
    if (fits) continue;
    refuse("the names of the optimizer's parameters are not known, or not distinct",
           "Names come from a checkpoint whose State has the parameters' module. Otherwise use the "
           "form with indices.");
  }
}

// A LibTorch optimizer may keep states of parameters that it no longer trains.
void check_unknown(const OptimizerTree& optimizer) {
  if (optimizer.unknown.empty()) return;
  const std::string what =
      in_quotes(optimizer.unknown.front()) + " belongs to no parameter of 'param_groups'";
  if (optimizer.is_python) refuse(what);
  base::log_warning(what + ": it is left out");
}

const OptimizerClass& require_class(const OptimizerClass* given, const OptimizerTree& optimizer) {
  if (given != nullptr) return *given;
  if (optimizer.type != nullptr) return *optimizer.type;
  throw Error(ErrorCode::kUnsupported,
              "only SGD, Adam, AdamW, RMSprop, Adagrad and LBFGS can be exchanged with Python, and "
              "the options are those of another optimizer");
}

}  // namespace

bool is_libtorch_optimizer(const Value& tree) {
  if (!tree.is_dict()) return false;
  const Value* const states = tree.dict().find(kState);
  const Value* const groups = tree.dict().find(kGroups);
  const bool has_version = tree.dict().contains(std::string("pytorch_version"));
  return tree.dict().size() == (has_version ? 3u : 2u) && states != nullptr && states->is_dict() &&
         groups != nullptr && groups->is_dict() &&
         groups->dict().contains(std::string("param_groups/size"));
}

bool is_python_optimizer(const Value& tree) {
  if (!tree.is_dict()) return false;
  const Value* const states = tree.dict().find(kState);
  const Value* const groups = tree.dict().find(kGroups);
  if (states == nullptr || !states->is_dict() || groups == nullptr ||
      groups->kind() != Value::Kind::kList) {
    return false;
  }
  return std::all_of(groups->list().begin(), groups->list().end(), [](const Value& group) {
    const Value* const params = group.is_dict() ? group.dict().find(kParams) : nullptr;
    return params != nullptr && params->kind() == Value::Kind::kList &&
           std::all_of(params->list().begin(), params->list().end(), [](const Value& param) {
             return param.kind() == Value::Kind::kInt || param.kind() == Value::Kind::kString;
           });
  });
}

OptimizerTree read_python_optimizer(const Value& tree) { return PythonReader().read(tree); }

OptimizerTree read_libtorch_optimizer(const Value& tree) {
  if (!is_libtorch_optimizer(tree)) refuse("not an optimizer in LibTorch's form");
  const Dict& states = tree.dict().at(kState).dict();
  const Dict& groups = tree.dict().at(kGroups).dict();
  OptimizerTree result;
  std::pmr::monotonic_buffer_resource arena;  // Entries come one by one, and go together.
  std::pmr::unordered_map<std::string_view, int64_t> ids(&arena);
  int64_t count = 0;
  // LibTorch numbers the groups and parameters; their counts are tensors, which need not be read.
  for (size_t g = 0; groups.contains("param_groups/" + std::to_string(g)); ++g) {
    const std::string path = "param_groups/" + std::to_string(g);
    const Dict& saved = dict_at(groups, path, kGroups);
    OptimizerGroup group;
    group.options = dict_at(saved, "options", dotted(kGroups, path));
    for (size_t p = 0;; ++p) {
      const Value* const param = saved.find("params/" + std::to_string(p));
      if (param == nullptr) break;
      const std::string& key = param->to_string();
      group.ids.push_back(ids.emplace(key, count++).first->second);
      const Value* const state = states.find(key);
      if (state != nullptr && !state->is_dict()) {
        refuse(in_quotes(dotted(kState, key)) + " is not a dict");
      }
      group.states.push_back(state);
    }
    result.groups.push_back(std::move(group));
  }
  for (const auto& entry : states) {
    const std::string key = to_string(entry.first);
    if (ids.count(key) == 0) result.unknown.push_back(dotted(kState, key));
  }
  if (!result.groups.empty()) result.type = find_optimizer_class(result.groups.front().options);
  return result;
}

Value to_python_form(const OptimizerTree& optimizer, const OptimizerClass* type, OptimizerForm form,
                     StepCounts counts) {
  check_unknown(optimizer);
  if (form != OptimizerForm::kPython) require_names(optimizer);
  const OptimizerClass& known = require_class(type, optimizer);
  const bool wide = counts_beyond_float(optimizer);
  Dict states;
  Value::List groups;
  for (const OptimizerGroup& group : optimizer.groups) {
    Dict written;
    if (form == OptimizerForm::kPythonWithNames) {
      written.insert(kNames, Value::List(group.names.begin(), group.names.end()));
    }
    for (const auto& [key, value] : python_options(group.options, known)) {
      written.insert(key, value);
    }
    Value::List params;
    for (size_t p = 0; p < group.ids.size(); ++p) {
      const bool by_name = form == OptimizerForm::kByName;
      const Key key = by_name ? Key(group.names[p]) : Key(group.ids[p]);
      params.push_back(by_name ? Value(group.names[p]) : Value(group.ids[p]));
      if (group.states[p] == nullptr || states.contains(key)) continue;
      states.insert(key, python_state(group.states[p]->dict(), counts, wide));
    }
    written.insert(kParams, std::move(params));
    groups.emplace_back(std::move(written));
  }
  Dict tree;
  tree.insert(kState, std::move(states));
  tree.insert(kGroups, std::move(groups));
  return tree;
}

Dict libtorch_options(const Dict& group, const OptimizerClass& type, const std::string& path,
                      std::vector<std::string>& refused) {
  Dict result;
  for (const auto& [key, value] : group) {
    const std::string name = to_string(key);
    if (name == "initial_lr") continue;  // A scheduler's.
    const PythonOption* const option = type.find(name);
    if (option == nullptr) {
      base::log_warning("the option '" + dotted(path, name) + "' of Python's " + type.name +
                        " is ignored: LibTorch has no such option");
    } else if (name == "decoupled_weight_decay" && !option->normal) {
      continue;  // Adam or AdamW: both are possible.
    } else if (!option->normal) {
      const bool is_pair = name == "betas" && value.kind() == Value::Kind::kList;
      result.insert(key, is_pair ? Value(Tuple{value.list()}) : plain_number(value));
    } else if (option->changes_steps && (value.kind() != Value::Kind::kBool ||
                                         value.to_bool() != option->normal->to_bool())) {
      refused.push_back(name);
    }
  }
  return result;
}

Dict libtorch_state(const Dict& state, bool is_flat) {
  Dict result;
  for (const auto& [key, value] : state) {
    const std::string name = to_string(key);
    if (value.is_none() || name == "al") continue;
    if (name == kStep || name == "func_evals" || name == "n_iter") {
      const Value count = plain_count(value);
      if (count.kind() == Value::Kind::kInt && count.to_int() < 0) {
        refuse(in_quotes(name) + " is " + std::to_string(count.to_int()) +
               ", and counts cannot be negative");
      }
      result.insert(key, count);
    } else if (name == "t" || name == "prev_loss") {
      result.insert(key, plain_double(value));
    } else if (name == "H_diag" && value.kind() == Value::Kind::kInt) {
      result.insert(key, at::scalar_tensor(value.to_int(), at::kLong));
    } else if (name == "H_diag" && value.kind() == Value::Kind::kDouble) {
      result.insert(key, at::scalar_tensor(value.to_double(), at::kDouble));
    } else {
      result.insert(key, value);
    }
  }
  if (!is_flat) return result;
  // Python makes these when it needs them; LibTorch's fields always have a value.
  if (!result.contains(std::string("func_evals"))) result.insert("func_evals", 0);
  if (!result.contains(std::string("prev_loss"))) result.insert("prev_loss", 0.0);
  // The next step uses "t", the last step's length, if there is a direction "d".
  const bool has_direction = result.contains(std::string("d"));
  if (!has_direction && !result.contains(std::string("t"))) result.insert("t", 0.0);
  const char* const lists[] = {"old_dirs", "old_stps", "ro"};
  const auto is_there = [&](const char* list) { return result.contains(std::string(list)); };
  if (std::any_of(std::begin(lists), std::end(lists), is_there)) return result;
  for (const char* list : lists) result.insert(list, Value::List());
  return result;
}

Value to_libtorch_form(const OptimizerTree& optimizer, const OptimizerClass* type) {
  check_unknown(optimizer);
  const OptimizerClass& known = require_class(type, optimizer);
  const auto size_tensor = [](size_t size) {
    return at::scalar_tensor(static_cast<int64_t>(size), at::kLong);
  };
  const bool is_flat = known.name == "LBFGS";
  Dict states;
  Dict groups;
  groups.insert("param_groups/size", size_tensor(optimizer.groups.size()));
  for (size_t g = 0; g < optimizer.groups.size(); ++g) {
    const OptimizerGroup& group = optimizer.groups[g];
    const std::string path = dotted(kGroups, std::to_string(g));
    std::vector<std::string> refused;
    Dict options = libtorch_options(group.options, known, path, refused);
    if (!refused.empty()) {
      refuse(in_quotes(dotted(path, refused.front())) + ": LibTorch's " + known.name +
             " does not support the saved value");
    }
    Dict written;
    written.insert("params/size", size_tensor(group.ids.size()));
    for (size_t p = 0; p < group.ids.size(); ++p) {
      const std::string key = std::to_string(group.ids[p]);
      written.insert("params/" + std::to_string(p), key);
      if (group.states[p] == nullptr || states.contains(key)) continue;
      states.insert(key, libtorch_state(group.states[p]->dict(), is_flat));
    }
    written.insert("options", std::move(options));
    groups.insert("param_groups/" + std::to_string(g), std::move(written));
  }
  Dict tree;
  tree.insert("pytorch_version", "1.5.0");  // Optimizer::load requires it.
  tree.insert(kState, std::move(states));
  tree.insert(kGroups, std::move(groups));
  return tree;
}

}  // namespace checkpoint::state
