#pragma once

/// Marks what the shared library exports; everything else in it is hidden.
#if defined(__GNUC__) || defined(__clang__)
#define CHECKPOINT_API __attribute__((visibility("default")))
#else
#define CHECKPOINT_API
#endif
