#pragma once

#include "support/catch.h"

#include <checkpoint/error.h>

#include <string>

namespace checkpoint {

/// What a failing call says, its code first: "corrupt: …". Empty if it did not fail; any other
/// exception than Error passes through, and so fails the test.
template <typename F>
std::string error_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(to_string(error.code())) + ": " + error.what();
  }
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace checkpoint
