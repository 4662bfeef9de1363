#include "keep_options.h"

#include <cmath>

namespace checkpoint::cli {
namespace {

const char kGroup[] = "Rules (a checkpoint stays if any rule keeps it)";

// CLI11's own check would print the largest double with all its digits.
std::string from_zero(const std::string& text) {
  double number = 0;
  const bool fits = CLI::detail::lexical_cast(text, number) && number >= 0;
  return fits ? "" : "expected a number of at least 0, not '" + text + "'";
}

BestRule best_rule(const std::tuple<int64_t, std::string, std::string>& given) {
  const auto& [count, metric, mode] = given;
  if (count < 0 || metric.empty() || (mode != "min" && mode != "max")) {
    throw CLI::ValidationError(
        "--keep-best", "expects a number, a metric, and min or max, such as 2 val_accuracy max");
  }
  return {count, metric, mode == "min" ? Mode::kMin : Mode::kMax};
}

}  // namespace

void KeepOptions::add_to(CLI::App& command) {
  command.add_option("--keep-last", last, "The newest N checkpoints")
      ->type_name("N")
      ->check(from_zero)
      ->group(kGroup);
  command
      .add_option(
          "--keep-best", best,
          "The best N by a metric (\"loss\" is the training loss). min: lower is better, max: "
          "higher is better. May be repeated")
      ->type_name("N METRIC min|max")
      ->allow_extra_args(false)
      ->group(kGroup);
  command.add_option("--keep-every-n-epochs", every_n_epochs, "One checkpoint every N epochs")
      ->type_name("N")
      ->check(from_zero)
      ->group(kGroup);
  command.add_option("--keep-every-n-steps", every_n_steps, "One checkpoint every N steps")
      ->type_name("N")
      ->check(from_zero)
      ->group(kGroup);
  command.add_option("--keep-every-hours", every_hours, "One checkpoint every HOURS hours")
      ->type_name("HOURS")
      ->check(from_zero)
      ->group(kGroup);
}

KeepRules KeepOptions::rules() const {
  if (!std::isfinite(every_hours)) {
    throw CLI::ValidationError("--keep-every-hours", "expects a number of hours, at least 0");
  }
  KeepRules rules;
  rules.last = last;
  for (const auto& given : best) rules.best.push_back(best_rule(given));
  rules.every_n_epochs = every_n_epochs;
  rules.every_n_steps = every_n_steps;
  rules.every = std::chrono::duration<double, std::ratio<3600>>(every_hours);
  return rules;
}

}  // namespace checkpoint::cli
