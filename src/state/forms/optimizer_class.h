#pragma once

#include <checkpoint/value.h>

#include <optional>
#include <string>
#include <vector>

namespace checkpoint::state {

/// An option of one of Python's optimizers.
struct PythonOption {
  const char* name;
  /// Its default in Python. Empty if LibTorch's class has the option too, so that a save knows it.
  std::optional<Value> normal = std::nullopt;
  /// Whether another value changes the steps. LibTorch could then not continue as Python would.
  bool changes_steps = false;
};

/// An optimizer's class, which both LibTorch and Python have.
struct OptimizerClass {
  std::string name;                   ///< "Adam", as both programs call it.
  std::vector<PythonOption> options;  ///< Those of PyTorch 2.14, in Python's order.

  /// Returns the option with this name, or null.
  const PythonOption* find(const std::string& option) const;
};

/// Returns the class with this name, or null. It lives as long as the process.
const OptimizerClass* find_optimizer_class(const std::string& name);
/// Returns the class whose options a group has, or null. Adam and AdamW cannot be distinguished in
/// LibTorch's form: the result is then a class "Adam or AdamW", without the option in which
/// Python's two classes differ. Python adds that option itself when it loads.
const OptimizerClass* find_optimizer_class(const Dict& options);

}  // namespace checkpoint::state
