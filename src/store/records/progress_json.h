#pragma once

#include <checkpoint/progress.h>

#include <nlohmann/json.hpp>

#include <string>

namespace checkpoint::store {

/// Progress as every document of this library writes it: epoch, epoch_done, step, loss, metrics.
nlohmann::ordered_json progress_to_json(const Progress& progress);
/// Reads it back. Throws Error(corrupt) naming `path` and the field that is missing or wrong.
Progress progress_from_json(const nlohmann::json& object, const std::string& path);

}  // namespace checkpoint::store
