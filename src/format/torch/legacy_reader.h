#pragma once

#include "format/decode/decoded.h"
#include "store/io/byte_source.h"

#include <string_view>

namespace checkpoint::format {

/// Returns whether a file that begins with these bytes can be one for read_legacy: a pickle.
bool looks_like_legacy(std::string_view begin);

/// Reads what Python's torch.save wrote before 1.6, and still writes with
/// _use_new_zipfile_serialization=False: five pickles one after the other, then the storages.
/// Otherwise like read_archive.
DecodedArchive read_legacy(const store::ByteSource& source);

}  // namespace checkpoint::format
