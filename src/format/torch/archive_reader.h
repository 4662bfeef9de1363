#pragma once

#include "format/decode/decoded.h"
#include "store/io/byte_source.h"

namespace checkpoint::format {

/// What to do with a file whose numbers have the byte order of another machine.
enum class BigEndian {
  kRefuse,
  kSwap,  ///< load_tensor converts them to the order of this machine.
};

/// Reads what `torch::save`, `OutputArchive::save_to` and Python's `torch.save` (1.6 and later)
/// write, but not the bytes of the tensors. Nothing in the file is compiled or run, and memory use
/// is bounded by the file's size. Each placeholder is checked against its record: its elements are
/// inside it. The bytes and their checksums are not checked.
///
/// Throws Error(corrupt) for a file that is damaged or contradicts itself. Throws
/// Error(unsupported) for what this library does not read: quantized and sparse tensors, a
/// __setstate__, objects of Python classes, … Also throws what `source` throws.
DecodedArchive read_archive(const store::ByteSource& source,
                            BigEndian big_endian = BigEndian::kRefuse);

}  // namespace checkpoint::format
