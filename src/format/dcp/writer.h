#pragma once

#include "store/io/file_system.h"

#include <checkpoint/value.h>

#include <string>

namespace checkpoint::format::dcp {

/// Writes a tree as a directory that `torch.distributed.checkpoint.load` of PyTorch 2.3 and later
/// opens: `__0_0.distcp` with all tensors and values, each at a multiple of 64 bytes, and
/// `.metadata`, which commits it. The directory is created; one that exists must be empty. Needs
/// memory for one tensor that is not dense or not on the CPU. Shared tensors are written each.
///
/// Throws Error: invalid_argument if the path is not an empty directory; unsupported, with the key,
/// for what flatten refuses and for what a .pth file cannot hold; no_space; io; device. It then
/// removes what it has written, unless all is written and only the last sync fails.
void write_directory(store::FileSystem& fs, const Dict& tree, const std::string& path);

}  // namespace checkpoint::format::dcp
