#include "verified.h"

#include "output.h"

#include <cstdio>
#include <utility>

namespace checkpoint::cli {

void print(const Verified& verified) {
  if (verified.error.empty()) {
    std::printf("ok       %s (%s)\n", printable(verified.path).c_str(),
                human_bytes(verified.bytes).c_str());
  } else {
    std::printf("%s  %s: %s\n", verified.code == kDamageFound ? "DAMAGED" : "FAILED ",
                printable(verified.path).c_str(), printable(verified.error).c_str());
  }
}

void print_as_json(const std::vector<Verified>& all) {
  nlohmann::ordered_json entries = nlohmann::ordered_json::array();
  for (const Verified& verified : all) {
    const bool whole = verified.error.empty();
    entries.push_back(
        {{"path", verified.path},
         {"whole", whole},
         {"bytes", verified.bytes},
         {"error", whole ? nlohmann::ordered_json() : nlohmann::ordered_json(verified.error)}});
  }
  print_json({{"checkpoints", std::move(entries)}});
}

ExitCode worst_of(const std::vector<Verified>& all) {
  ExitCode worst = kAllWell;
  for (const Verified& verified : all) {
    if (worst != kDamageFound && verified.code != kAllWell) worst = verified.code;
  }
  return worst;
}

}  // namespace checkpoint::cli
