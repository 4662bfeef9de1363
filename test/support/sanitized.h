#pragma once

// g++ says it by a macro, clang++ 14 by a feature.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TORCH_CHECKPOINT_SANITIZED true
#elif defined(__has_feature)
#define TORCH_CHECKPOINT_SANITIZED \
  (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define TORCH_CHECKPOINT_SANITIZED false
#endif

namespace test {

/// Whether the tests run under AddressSanitizer or ThreadSanitizer, which reserve terabytes of
/// address space and take many times as long.
constexpr bool kSanitized = TORCH_CHECKPOINT_SANITIZED;

}  // namespace test
