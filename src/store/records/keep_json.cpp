#include "store/records/keep_json.h"

#include "base/json.h"

#include <checkpoint/error.h>

namespace checkpoint::store {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr char kMin[] = "min";
constexpr char kMax[] = "max";

BestRule decode_best(const json& object, const std::string& path) {
  const base::JsonFields fields(object, path);
  BestRule rule{fields.integer("count"), fields.string("metric"), Mode::kMin};
  const std::string mode = fields.string("mode");
  if (mode == kMax) rule.mode = Mode::kMax;
  if (rule.count < 0 || (mode != kMin && mode != kMax)) {
    throw Error(ErrorCode::kCorrupt, "the field 'best' has an entry that is not a retention rule",
                path);
  }
  return rule;
}

}  // namespace

ordered_json keep_to_json(const KeepRules& rules) {
  ordered_json object = ordered_json::object();
  if (rules.last > 0) object["last"] = rules.last;
  for (const BestRule& rule : rules.best) {
    object["best"].push_back({{"count", rule.count},
                              {"metric", rule.metric},
                              {"mode", rule.mode == Mode::kMin ? kMin : kMax}});
  }
  if (rules.every_n_epochs > 0) object["every_n_epochs"] = rules.every_n_epochs;
  if (rules.every_n_steps > 0) object["every_n_steps"] = rules.every_n_steps;
  if (rules.every.count() > 0) object["every_seconds"] = base::json_number(rules.every.count());
  return object;
}

KeepRules keep_from_json(const json& object, const std::string& path) {
  const base::JsonFields fields(object, path);
  const auto number = [&](const char* field) {
    const int64_t value = fields.has(field) ? fields.integer(field) : 0;
    if (value >= 0) return value;
    throw Error(ErrorCode::kCorrupt, std::string("the field '") + field + "' is negative", path);
  };
  KeepRules rules;
  rules.last = number("last");
  rules.every_n_epochs = number("every_n_epochs");
  rules.every_n_steps = number("every_n_steps");
  if (fields.has("best")) {
    for (const json& rule : fields.array("best")) rules.best.push_back(decode_best(rule, path));
  }
  if (fields.has("every_seconds")) {
    const double seconds = fields.number("every_seconds");
    if (!(seconds > 0)) {
      throw Error(ErrorCode::kCorrupt, "the field 'every_seconds' is out of range", path);
    }
    rules.every = std::chrono::duration<double>(seconds);
  }
  return rules;
}

}  // namespace checkpoint::store
