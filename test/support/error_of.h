#pragma once

#include "support/catch.h"

#include <checkpoint/error.h>

#include <string>

namespace checkpoint {

/// What a failing call says: "corrupt: what happened … (the path)". Empty if it did not fail. Any
/// other exception than Error passes through, and so fails the test.
template <typename F>
std::string error_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    const std::string code = to_string(error.code());
    const std::string text = error.what();
    if (error.path().empty()) return code + ": " + text;
    return code + ": " + text.substr(error.path().size() + 2) + " (" + error.path() + ')';
  }
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace checkpoint
