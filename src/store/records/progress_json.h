#pragma once

#include <checkpoint/progress.h>

#include <nlohmann/json.hpp>

#include <string>

namespace checkpoint::store {

/// Returns progress as all documents of this library store it: epoch, epoch_done, step, loss,
/// metrics.
nlohmann::ordered_json progress_to_json(const Progress& progress);
/// Reads progress back. Throws Error(corrupt) with `path` and the missing or wrong field.
Progress progress_from_json(const nlohmann::json& object, const std::string& path);

}  // namespace checkpoint::store
