#pragma once

#include "store/retention/retention.h"

#include <checkpoint/keep.h>

#include <nlohmann/json.hpp>

#include <string>

namespace checkpoint::cli {

/// What is in a directory of checkpoints, and why it stays: by the rules that were given, or else
/// by those of the run that saved last.
struct DirectoryView {
  store::Decision decision;
  KeepRules rules;
  bool rules_given;
};

/// Throws Error: not_found, invalid_argument, io.
DirectoryView read_directory(const std::string& path, const KeepRules& given);

/// The fields of a checkpoint that its directory tells, not its manifest: "pinned", and "reasons"
/// where there are rules.
nlohmann::ordered_json retention_fields(const DirectoryView& view, size_t i);

}  // namespace checkpoint::cli
