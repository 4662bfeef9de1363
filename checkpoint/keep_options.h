#pragma once

#include <checkpoint/keep.h>

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

namespace checkpoint::cli {

/// The retention rules of a command line.
struct KeepOptions {
  int64_t last = 0;
  std::vector<std::tuple<int64_t, std::string, std::string>>
      best;  ///< Number, metric, "min"/"max".
  int64_t every_n_epochs = 0;
  int64_t every_n_steps = 0;
  double every_hours = 0;

  /// Adds the options to a command. This object must outlive the parsing.
  void add_to(CLI::App& command);
  /// Returns the rules. Throws CLI::ValidationError if an option has an invalid value.
  KeepRules rules() const;
};

}  // namespace checkpoint::cli
