#pragma once

/// This library's version; CMake reads it from here.
#define TORCH_CHECKPOINT_VERSION "0.1.0"
