#pragma once

#include "base/digest.h"

#include <checkpoint/error.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace test {

/// Makes a call that may throw Error, whatever it says; anything else that it throws is a finding.
template <typename F>
void allow_errors(F&& call) {
  try {
    call();
  } catch (const checkpoint::Error& error) {
    // A message is for people: never the whole of a hostile file.
    if (std::string(error.what()).size() > 4096) std::abort();
  }
}

/// The bytes of a manifest that stand before its digest, with the digest behind them.
inline std::string sealed(const std::string& body) {
  return body + "  \"xxh3_128\": \"" + checkpoint::base::xxh3_128(body.data(), body.size()) +
         "\"\n}\n";
}

}  // namespace test
