#include "format/dcp/blob_check.h"

#include "format/zip/zip_reader.h"

#include <libdeflate.h>

#include <algorithm>
#include <vector>

namespace checkpoint::format::dcp {
namespace {

// What is read at once.
constexpr uint64_t kPiece = uint64_t{1} << 20;

uint32_t checksum_of(const ZipReader& zip, const ZipEntry& entry) {
  std::vector<char> piece(std::min(kPiece, entry.bytes));
  const uint64_t begin = zip.data_offset(entry);
  uint32_t checksum = 0;
  for (uint64_t at = 0; at < entry.bytes; at += piece.size()) {
    const uint64_t count = std::min<uint64_t>(piece.size(), entry.bytes - at);
    zip.source().read_at(begin + at, piece.data(), count);
    checksum = libdeflate_crc32(checksum, piece.data(), count);
  }
  return checksum;
}

}  // namespace

void throw_with_key(const Error& error, const std::string& key, const store::ByteSource& blob) {
  std::string what = error.what();
  const std::string prefix = blob.name() + ": ";
  if (what.compare(0, prefix.size(), prefix) == 0) what.erase(0, prefix.size());
  throw Error(error.code(), "the blob of " + base::in_quotes(key) + ": " + what, blob.name());
}

void check_records(const std::string& key, const store::ByteSource& blob) {
  naming_the_key(key, blob, [&] {
    const ZipReader zip(blob);
    for (const ZipEntry& entry : zip.entries()) {
      // What is packed is checked while it is unpacked.
      if (!entry.stored() || checksum_of(zip, entry) == entry.crc32) continue;
      store::throw_corrupt("the checksum of record " + base::in_quotes(entry.name) + " differs",
                           blob);
    }
  });
}

}  // namespace checkpoint::format::dcp
