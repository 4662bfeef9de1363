#pragma once

#include "format/decode/decoded.h"
#include "store/io/byte_source.h"

#include <checkpoint/format.h>

namespace checkpoint::format {

/// What kind of file it is, by its first bytes. A .pth file, also one from before 1.6, counts as
/// kPth or kArchive alike: who reads it need not know. Throws Error(unsupported) for anything else.
Format recognise(const store::ByteSource& source);

/// Reads a file of any format that this library knows, up to the tensors' bytes.
DecodedArchive read_file(const store::ByteSource& source);

}  // namespace checkpoint::format
