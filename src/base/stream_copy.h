#pragma once

#include <cstddef>

namespace checkpoint::base {

/// Copies like memcpy, for bytes that will not be read again soon: on x86-64 the copy goes past the
/// caches, unless there are only a few. The two ranges do not overlap.
///
/// A plain store first fetches the line that it overwrites, which costs a third memory transfer.
/// For blocks larger than a share of the last cache, glibc's memcpy avoids that; for smaller ones
/// it does not. Each line is asked for a while before its use, because the processor itself fetches
/// ahead only within one page.
void stream_copy(char* to, const char* from, size_t bytes);

}  // namespace checkpoint::base
