#pragma once

#include <checkpoint/keep.h>

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

namespace checkpoint::cli {

/// The rules of retention, as a command line gives them.
struct KeepOptions {
  int64_t last = 0;
  std::vector<std::tuple<int64_t, std::string, std::string>>
      best;  ///< Number, metric, "min"/"max".
  int64_t every_n_epochs = 0;
  int64_t every_n_steps = 0;
  double every_hours = 0;

  /// Adds the options to a command; this must outlive the parsing.
  void add_to(CLI::App& command);
  /// Throws CLI::ValidationError for what is not a rule.
  KeepRules rules() const;
};

}  // namespace checkpoint::cli
