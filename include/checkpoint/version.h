#pragma once

#include <checkpoint/export.h>

/// The version of these headers; CMake reads it from here.
#define TORCH_CHECKPOINT_VERSION "0.1.0"
/// Its first number.
#define TORCH_CHECKPOINT_VERSION_MAJOR 0
/// Its second number.
#define TORCH_CHECKPOINT_VERSION_MINOR 1
/// Its third number.
#define TORCH_CHECKPOINT_VERSION_PATCH 0

/// Whether these headers are of this version or a later one:
/// `#if TORCH_CHECKPOINT_AT_LEAST(0, 2, 0)`.
#define TORCH_CHECKPOINT_AT_LEAST(major, minor, patch)                                 \
  ((TORCH_CHECKPOINT_VERSION_MAJOR * 1000000 + TORCH_CHECKPOINT_VERSION_MINOR * 1000 + \
    TORCH_CHECKPOINT_VERSION_PATCH) >= ((major)*1000000 + (minor)*1000 + (patch)))

namespace checkpoint {

/// Returns the version of the shared library that the program runs with: "0.1.0".
TORCH_CHECKPOINT_API const char* version() noexcept;

}  // namespace checkpoint
