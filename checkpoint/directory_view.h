#pragma once

#include "store/retention/retention.h"

#include <checkpoint/keep.h>

#include <nlohmann/json.hpp>

#include <string>

namespace checkpoint::cli {

/// The checkpoints in a directory, and why each one stays: by the rules on the command line, or
/// else by the rules of the run that saved last.
struct DirectoryView {
  store::Decision decision;
  KeepRules rules;
  bool rules_given;
};

/// Reads a directory. `given` are the rules on the command line, or empty. Throws Error: not_found,
/// invalid_argument, io.
DirectoryView read_directory(const std::string& path, const KeepRules& given);

/// Returns the JSON fields of checkpoint `i` that come from its directory, not from its manifest:
/// "pinned", and "reasons" if there are rules.
nlohmann::ordered_json retention_fields(const DirectoryView& view, size_t i);

}  // namespace checkpoint::cli
