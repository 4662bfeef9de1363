#pragma once

#include "base/in_quotes.h"
#include "store/io/byte_source.h"

#include <checkpoint/error.h>

#include <string>

// The blobs of a distributed checkpoint: zip archives inside larger files.

namespace checkpoint::format::dcp {

/// Throws `error` again, with the key of the blob that it concerns.
[[noreturn]] void throw_with_key(const Error& error, const std::string& key,
                                 const store::ByteSource& blob);

/// Calls `read`. An error names the key of the blob.
template <typename Read>
auto naming_the_key(const std::string& key, const store::ByteSource& blob, const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw_with_key(error, key, blob);
  }
}

/// Reads a blob whole, and compares each of its records with its checksum. Throws Error(corrupt),
/// with the key, and what ZipReader throws.
void check_records(const std::string& key, const store::ByteSource& blob);

}  // namespace checkpoint::format::dcp
