#pragma once

namespace test {

/// Whether the tests run under AddressSanitizer or ThreadSanitizer, which reserve terabytes of
/// address space and take many times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

}  // namespace test
