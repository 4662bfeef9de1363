#pragma once

#include "format/decode/decoded.h"
#include "store/io/byte_source.h"

namespace checkpoint::format {

/// What to do with a file whose numbers have the byte order of another machine.
enum class BigEndian {
  kRefuse,
  kSwap,  ///< load_tensor puts them into the order of this one.
};

/// Reads what `torch::save`, `OutputArchive::save_to` and Python's `torch.save` (1.6 and later)
/// write, up to the tensors' bytes. Nothing that the file holds is compiled or run, and nothing is
/// allocated that its size does not pay for. Every placeholder has been checked against its record:
/// its elements lie inside it, and it is not compressed. The bytes themselves are not looked at,
/// nor any checksum.
///
/// Throws Error(corrupt) for a file that is damaged or contradicts itself, Error(unsupported) for
/// what this library does not read (quantized and sparse tensors, a __setstate__, objects of Python
/// classes, …), and what `source` throws.
DecodedArchive read_archive(const store::ByteSource& source,
                            BigEndian big_endian = BigEndian::kRefuse);

}  // namespace checkpoint::format
