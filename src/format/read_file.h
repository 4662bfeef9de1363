#pragma once

#include "format/decode/decoded.h"
#include "store/io/byte_source.h"

#include <checkpoint/format.h>

namespace checkpoint::format {

/// Returns the format of a file, recognised by its first bytes. A .pth file, including one from
/// before 1.6, may be reported as kPth or kArchive: a reader need not know which. Throws
/// Error(unsupported) for anything else.
Format recognise(const store::ByteSource& source);

/// Reads a file of any format that this library knows, but not the bytes of its tensors.
DecodedArchive read_file(const store::ByteSource& source);

}  // namespace checkpoint::format
