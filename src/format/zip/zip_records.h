#pragma once

#include <cstdint>

// The records of a zip archive, as PKWARE's APPNOTE.TXT 6.3 describes them (sections 4.3 and 4.5).

namespace checkpoint::format::zip {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kDescriptor = 0x08074b50;
constexpr uint32_t kDirectoryHeader = 0x02014b50;
constexpr uint32_t kEndRecord = 0x06054b50;
constexpr uint32_t kZip64EndRecord = 0x06064b50;
constexpr uint32_t kZip64Locator = 0x07064b50;
constexpr uint64_t kZip64EndRecordBytes = 56;
constexpr uint16_t kZip64Extra = 0x0001;

}  // namespace checkpoint::format::zip
