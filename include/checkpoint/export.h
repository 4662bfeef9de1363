#pragma once

/// Marks what the shared library exports; everything else in it is hidden.
#if defined(__GNUC__) || defined(__clang__)
#define TORCH_CHECKPOINT_API __attribute__((visibility("default")))
#else
#define TORCH_CHECKPOINT_API
#endif
