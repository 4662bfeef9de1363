#pragma once

#include "state/forms/optimizer_class.h"

#include <checkpoint/state_dict.h>
#include <checkpoint/value.h>

#include <cstdint>
#include <string>
#include <vector>

// A saved optimizer in one of two forms, without the live optimizer.
//
// LibTorch's form is the layout of Optimizer::save:
//
//   {"pytorch_version": "1.5.0",
//    "state": {"0": {"step": 5, "exp_avg": tensor, …}, …},
//    "param_groups": {"param_groups/size": 1,
//                     "param_groups/0": {"params/size": 2, "params/0": "0", "params/1": "1",
//                                        "options": {"lr": 0.1, …}}}}
//
// Python's form is what its Optimizer.state_dict() returns:
//
//   {"state": {0: {"step": tensor(5.), "exp_avg": tensor, …}, …},
//    "param_groups": [{"lr": 0.1, …, "params": [0, 1]}]}
//
// Distributed checkpoints of Python have the parameters' names in place of the indices.

namespace checkpoint::state {

/// One group of parameters, as it was saved.
struct OptimizerGroup {
  Dict options;                      ///< Without "params" and "param_names".
  std::vector<int64_t> ids;          ///< For each parameter: its index in Python's form.
  std::vector<std::string> names;    ///< For each parameter: its name. Empty if not in the tree.
  std::vector<const Value*> states;  ///< For each parameter: a dict in the tree, or null.
};

/// A saved optimizer, taken apart. The tree that it was made from must outlive it.
struct OptimizerTree {
  std::vector<OptimizerGroup> groups;
  /// The class, by the options of the first group. Null if no class has these.
  const OptimizerClass* type = nullptr;
  bool is_python = false;            ///< The options and states are those of Python's form.
  bool is_by_name = false;           ///< The parameters are known by their names only.
  std::vector<std::string> unknown;  ///< The keys of states that belong to no parameter.
};

/// How Python's form holds step counts. Python takes both when it loads.
enum class StepCounts {
  kTensors,  ///< As Python writes them.
  kNumbers,  ///< As integers. They are exact at any size, and need no record in the file each.
};

/// Returns whether a tree has LibTorch's form of an optimizer, and nothing besides.
bool is_libtorch_optimizer(const Value& tree);
/// Returns whether a tree has Python's form of an optimizer, of any class.
bool is_python_optimizer(const Value& tree);

/// Takes apart an optimizer in LibTorch's form, with keys of any kind: addresses too. Throws
/// Error(incompatible) if the layout is another one.
OptimizerTree read_libtorch_optimizer(const Value& tree);
/// Takes apart an optimizer in Python's form. Its keys may be integers, texts of digits (which a
/// conversion from a distributed checkpoint leaves), or names. Throws Error(incompatible), with the
/// place, for a mix of these or for another layout.
OptimizerTree read_python_optimizer(const Value& tree);

/// Returns an optimizer in one of Python's forms, with every option that the class has in PyTorch
/// 2.14. `type` may be null for the class by the options. The names of the parameters are those in
/// the groups. Throws Error(incompatible) if names are wanted, and not known or not distinct, or if
/// a state of Python's form belongs to no parameter. Throws Error(unsupported) for a class that
/// LibTorch does not have.
Value to_python_form(const OptimizerTree& optimizer, const OptimizerClass* type, OptimizerForm form,
                     StepCounts counts);
/// Returns an optimizer in LibTorch's form, with decimal indices as keys. Throws
/// Error(incompatible), with the place, for an option that LibTorch lacks and that changes the
/// steps, for a state that belongs to no parameter, and for a wrong count of steps. Throws
/// Error(unsupported) for a class that LibTorch does not have.
Value to_libtorch_form(const OptimizerTree& optimizer, const OptimizerClass* type);

/// Returns a group's options as LibTorch's class has them, with numbers for tensors of one element.
/// What LibTorch lacks is left out: `refused` gets the names of options that change the steps.
/// Those that no class has are named in the log, with `path`.
Dict libtorch_options(const Dict& group, const OptimizerClass& type, const std::string& path,
                      std::vector<std::string>& refused);
/// Returns a parameter's state as LibTorch's class has it. `is_flat` is LBFGS. Throws
/// Error(incompatible) for a negative count of steps.
Dict libtorch_state(const Dict& state, bool is_flat);

}  // namespace checkpoint::state
