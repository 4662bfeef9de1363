#include "format/read_file.h"

#include "format/foreign.h"
#include "format/safetensors/safetensors.h"
#include "format/safetensors/safetensors_header.h"
#include "format/torch/archive_reader.h"
#include "format/torch/legacy_reader.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace checkpoint::format {

namespace {

enum class Kind { kZip, kLegacy, kSafetensors };

constexpr std::string_view kZipBegin = "PK\x03\x04";

std::string first_bytes(const store::ByteSource& source) {
  std::string begin(std::min<uint64_t>(source.size(), kForeignBytes), '\0');
  source.read_at(0, begin.data(), begin.size());
  return begin;
}

Kind kind_of(const store::ByteSource& source) {
  const std::string begin = first_bytes(source);
  // Safetensors first: the length that begins its header may look like another format's first
  // bytes. The other formats never have a brace at byte 8.
  if (looks_like_safetensors(begin, source.size())) return Kind::kSafetensors;
  if (begin.compare(0, kZipBegin.size(), kZipBegin) == 0) return Kind::kZip;
  if (looks_like_legacy(begin)) return Kind::kLegacy;
  throw_foreign(source, begin);
}

}  // namespace

Format recognise(const store::ByteSource& source) {
  return kind_of(source) == Kind::kSafetensors ? Format::kSafetensors : Format::kPth;
}

DecodedArchive read_file(const store::ByteSource& source) {
  switch (kind_of(source)) {
    case Kind::kZip:
      return read_archive(source, BigEndian::kSwap);
    case Kind::kLegacy:
      return read_legacy(source);
    case Kind::kSafetensors:
      return read_safetensors(source);
  }
  throw Error(ErrorCode::kUnsupported, "the file is of an unknown kind", source.name());
}

}  // namespace checkpoint::format
