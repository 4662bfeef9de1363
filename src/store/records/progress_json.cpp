#include "store/records/progress_json.h"

#include "base/json.h"

#include <utility>

namespace checkpoint::store {

nlohmann::ordered_json progress_to_json(const Progress& progress) {
  nlohmann::ordered_json metrics = nlohmann::ordered_json::object();
  // Appended directly: insertion by name would search all earlier entries each time.
  auto& entries = metrics.get_ref<nlohmann::ordered_json::object_t&>();
  for (const auto& [name, value] : progress.metrics)
    entries.emplace_back(name, base::json_number(value));
  return {{"epoch", progress.epoch},
          {"epoch_done", progress.epoch_done},
          {"step", progress.step},
          {"loss", base::json_number(progress.loss)},
          {"metrics", std::move(metrics)}};
}

Progress progress_from_json(const nlohmann::json& object, const std::string& path) {
  const base::JsonFields fields(object, path);
  Progress progress;
  progress.epoch = fields.integer("epoch");
  progress.epoch_done = fields.boolean("epoch_done");
  progress.step = fields.integer("step");
  progress.loss = fields.number("loss");
  const nlohmann::json& metrics = fields.object("metrics");
  const base::JsonFields metric_fields(metrics, path);
  for (const auto& metric : metrics.items()) {
    progress.metrics[metric.key()] = metric_fields.number(metric.key());
  }
  return progress;
}

}  // namespace checkpoint::store
