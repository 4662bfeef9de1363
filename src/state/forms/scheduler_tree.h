#pragma once

#include <checkpoint/value.h>

#include <vector>

// A saved scheduler in one of two forms, without the live one. In this library's form it is a dict
// of the fields of LibTorch's class:
//
//   StepLR: {"step_count": 5, "step_size": 2, "gamma": 0.5}
//   ReduceLROnPlateau: {"best": 0.25, "num_bad_epochs": 0, …, "eps": 1e-8}
//
// Python's form is what its scheduler.state_dict() returns. Python's load takes any part of it.

namespace checkpoint::state {

/// Returns whether a tree is a scheduler in this library's form.
bool is_libtorch_scheduler(const Value& tree);
/// Returns whether a tree is a StepLR or ReduceLROnPlateau in Python's form.
bool is_python_scheduler(const Value& tree);

/// The learning rates of the scheduler's optimizer, group by group. Empty if not known.
using LearningRates = std::vector<double>;

/// Returns the learning rates that a StepLR in this library's form began with, if it alone has
/// changed them: Python's "base_lrs".
LearningRates first_rates(const Dict& step_lr, const LearningRates& now);

/// Returns a scheduler in Python's form. Without `now`, what depends on learning rates is left out,
/// and Python keeps its own. Logs a warning for a mode in which LibTorch and Python differ.
Value to_python_scheduler(const Value& tree, const LearningRates& now);
/// Returns a scheduler in this library's form. Fields that Python's form lacks are missing here
/// too.
Value to_libtorch_scheduler(const Value& tree);

}  // namespace checkpoint::state
