#pragma once

#include "store/retention/retention.h"

#include <checkpoint/keep.h>

#include <nlohmann/json.hpp>

#include <string>

namespace checkpoint::cli {

/// What is in a directory of checkpoints, and why it stays: by the rules that were given, or else
/// by those of the run that saved last.
struct Listing {
  store::Plan plan;
  KeepRules rules;
  bool rules_given;
};

/// Throws Error: not_found, invalid_argument, io.
Listing look_at(const std::string& path, const KeepRules& given);

/// The fields of a checkpoint that its directory tells, not its manifest: "pinned", and "reasons"
/// where there are rules.
nlohmann::ordered_json standing(const Listing& listing, size_t i);

}  // namespace checkpoint::cli
