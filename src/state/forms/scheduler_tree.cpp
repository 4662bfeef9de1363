// Two schedulers, to Python's form and back.
//
// StepLR counts differently: LibTorch's `step_count` is Python's `last_epoch` + 1, because Python's
// constructor makes the first step itself. After this change both decay at the same call. A
// LibTorch scheduler that never stepped becomes last_epoch -1, from which Python's next step()
// makes that first step.
//
// ReduceLROnPlateau begins with the worst value as the best. Python's is an infinity. LibTorch's is
// FLT_MAX, or FLT_MIN for the mode "max": a positive number, although negative metrics exist.

#include "state/forms/scheduler_tree.h"

#include "base/log.h"
#include "state/forms/number.h"

#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>

namespace checkpoint::state {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool has_all(const Value& tree, std::initializer_list<const char*> names) {
  if (!tree.is_dict()) return false;
  for (const char* name : names) {
    if (!tree.dict().contains(std::string(name))) return false;
  }
  return true;
}

bool is_step_lr(const Value& tree) {
  return has_all(tree, {"step_count", "step_size", "gamma"}) && tree.dict().size() == 3;
}

// Both forms of a plateau have these.
bool is_plateau(const Value& tree) {
  return has_all(tree,
                 {"best", "num_bad_epochs", "cooldown_counter", "last_epoch", "mode", "factor",
                  "patience", "threshold", "threshold_mode", "cooldown", "min_lrs", "eps"});
}

Value::List list_of(const LearningRates& rates) { return Value::List(rates.begin(), rates.end()); }

std::string text_at(const Dict& dict, const std::string& key) {
  const Value* const value = dict.find(key);
  return value != nullptr && value->kind() == Value::Kind::kString ? value->to_string() : "";
}

int64_t decays(const Dict& step_lr) {
  const int64_t size = step_lr.at(std::string("step_size")).to_int();
  const int64_t count = step_lr.at(std::string("step_count")).to_int();
  return size > 0 && count > 0 ? (count - 1) / size : 0;
}

// Returns the rate from which `count` decays lead to `now`. If the shortest such number does so
// exactly, that is the one that a user wrote.
double before_decays(double now, double gamma, int64_t count) {
  constexpr int64_t kMost = 1000;  // A bound for files made to waste time.
  if (count == 0 || count > kMost || gamma == 0) return now;
  const double quotient = now / std::pow(gamma, static_cast<double>(count));
  char text[40];
  std::snprintf(text, sizeof text, "%.12g", quotient);
  const double guess = std::strtod(text, nullptr);
  double reached = guess;
  for (int64_t i = 0; i < count; ++i) reached *= gamma;
  return reached == now ? guess : quotient;
}

Value python_step_lr(const Dict& saved, const LearningRates& now) {
  const int64_t count = saved.at(std::string("step_count")).to_int();
  Dict result{{"step_size", saved.at(std::string("step_size"))},
              {"gamma", saved.at(std::string("gamma"))}};
  if (!now.empty()) result.insert("base_lrs", list_of(first_rates(saved, now)));
  result.insert("last_epoch", count - 1);
  result.insert("_step_count", count);
  result.insert("_is_initial", false);
  result.insert("_get_lr_called_within_step", false);
  if (!now.empty()) result.insert("_last_lr", list_of(now));
  return result;
}

Value python_plateau(const Dict& saved, const LearningRates& now) {
  const bool is_max = text_at(saved, "mode") == "max";
  if (is_max && text_at(saved, "threshold_mode") == "abs") {
    base::log_warning(
        "a ReduceLROnPlateau with the modes max and abs behaves differently in Python: there an "
        "improvement is more than best + threshold, in LibTorch more than best * threshold");
  }
  Dict result;
  for (const char* name : {"factor", "min_lrs", "patience", "cooldown", "eps", "last_epoch"}) {
    result.insert(name, saved.at(std::string(name)));
  }
  if (!now.empty()) result.insert("_last_lr", list_of(now));
  result.insert("mode_worse", is_max ? -kInfinity : kInfinity);
  for (const char* name : {"mode", "threshold", "threshold_mode"}) {
    result.insert(name, saved.at(std::string(name)));
  }
  const double best = saved.at(std::string("best")).to_double();
  const double worst = is_max ? FLT_MIN : FLT_MAX;
  result.insert("best", best == worst ? (is_max ? -kInfinity : kInfinity) : best);
  for (const char* name : {"cooldown_counter", "num_bad_epochs"}) {
    result.insert(name, saved.at(std::string(name)));
  }
  return result;
}

Value libtorch_plateau(const Dict& saved) {
  Dict result;
  for (const char* name : {"num_bad_epochs", "cooldown_counter", "last_epoch", "mode", "patience",
                           "threshold_mode", "cooldown"}) {
    result.insert(name, plain_number(saved.at(std::string(name))));
  }
  for (const char* name : {"best", "factor", "threshold", "eps"}) {
    result.insert(name, plain_double(saved.at(std::string(name))));
  }
  const bool is_max = text_at(saved, "mode") == "max";
  Value& best = *result.find(std::string("best"));
  if (best.kind() == Value::Kind::kDouble &&
      best.to_double() == (is_max ? -kInfinity : kInfinity)) {
    best = static_cast<double>(is_max ? FLT_MIN : FLT_MAX);
  }
  const Value& rates = saved.at(std::string("min_lrs"));
  if (rates.kind() != Value::Kind::kList) {
    result.insert("min_lrs", rates);
    return result;
  }
  Value::List doubles;
  for (const Value& rate : rates.list()) doubles.push_back(plain_double(rate));
  result.insert("min_lrs", std::move(doubles));
  return result;
}

Value libtorch_step_lr(const Dict& saved) {
  Value count = plain_count(saved.at(std::string("last_epoch")));
  if (count.kind() == Value::Kind::kInt && count.to_int() < INT64_MAX) count = count.to_int() + 1;
  return Dict{{"step_count", count},
              {"step_size", plain_number(saved.at(std::string("step_size")))},
              {"gamma", plain_double(saved.at(std::string("gamma")))}};
}

}  // namespace

bool is_libtorch_scheduler(const Value& tree) {
  return is_step_lr(tree) || (is_plateau(tree) && tree.dict().size() == 12);
}

bool is_python_scheduler(const Value& tree) {
  // MultiStepLR has milestones and a gamma, StepLR a step_size.
  if (has_all(tree, {"step_size", "gamma", "last_epoch"})) return true;
  return is_plateau(tree) && has_all(tree, {"mode_worse"});
}

LearningRates first_rates(const Dict& step_lr, const LearningRates& now) {
  LearningRates rates;
  const double gamma = step_lr.at(std::string("gamma")).to_double();
  for (const double rate : now) rates.push_back(before_decays(rate, gamma, decays(step_lr)));
  return rates;
}

Value to_python_scheduler(const Value& tree, const LearningRates& now) {
  const Dict& saved = tree.dict();
  return is_step_lr(tree) ? python_step_lr(saved, now) : python_plateau(saved, now);
}

Value to_libtorch_scheduler(const Value& tree) {
  const Dict& saved = tree.dict();
  return saved.contains(std::string("step_size")) ? libtorch_step_lr(saved)
                                                  : libtorch_plateau(saved);
}

}  // namespace checkpoint::state
