#include "format/zip/zip_writer.h"

#include "base/crc32.h"
#include "base/digest.h"
#include "format/zip/zip_records.h"

#include <cstring>
#include <string_view>
#include <utility>

namespace checkpoint::format {

namespace {

using namespace zip;

constexpr uint64_t kRecordAlignment = 64;
constexpr uint64_t kMax16 = 0xffff;
constexpr uint64_t kMax32 = 0xffffffff;
constexpr uint16_t kPaddingExtra = 0x4246;  // "FB", the id that PyTorch uses.
constexpr uint16_t kUtf8Names = 0x0800;
constexpr uint16_t kHasDescriptor = 0x0008;
constexpr uint16_t kFirstOf1980 =
    0x0021;  // The earliest date, always the same: equal content gives equal files.
constexpr uint16_t kVersion = 20;
constexpr uint16_t kVersionOfZip64 = 45;

// The sums of so few bytes are computed at once: a descriptor would cost more.
constexpr size_t kSummedAtOnce = size_t{16} << 10;

// A 32-bit field with this value: the number is in a zip64 field.
uint64_t or_all_ones(uint64_t value) { return value >= kMax32 ? kMax32 : value; }

}  // namespace

bool ZipWriter::Entry::is_zip64() const { return bytes >= kMax32; }

uint16_t ZipWriter::Entry::flags() const {
  return sums != nullptr ? kUtf8Names | kHasDescriptor : kUtf8Names;
}

ZipWriter::ZipWriter(store::ByteSink& sink, std::string root)
    : sink_(sink), root_(std::move(root)) {}

uint64_t ZipWriter::add(const std::string& name, const std::string& bytes) {
  const uint32_t crc32 = base::crc32(0, bytes.data(), bytes.size());
  const uint64_t begin = begin_record(name, bytes.size(), crc32, nullptr);
  sink_.write(bytes.data(), bytes.size());
  return begin;
}

uint64_t ZipWriter::add_lasting(const std::string& name, const void* data, size_t count,
                                store::Sums* sums) {
  if (count <= kSummedAtOnce) {
    *sums = {base::crc32(0, data, count), base::Digest::of(data, count)};
    const uint64_t begin = begin_record(name, count, sums->crc32, nullptr);
    sink_.write(data, count);
    return begin;
  }
  const uint64_t begin = begin_record(name, count, 0, sums);
  sink_.write_lasting(data, count, sums);
  write_descriptor(entries_.back());
  return begin;
}

// With `sums`, the CRC-32 and the sizes follow the bytes (APPNOTE.TXT, 4.3.9).
uint64_t ZipWriter::begin_record(const std::string& name, uint64_t count, uint32_t crc32,
                                 const store::Sums* sums) {
  const size_t name_begin = names_.size();
  names_.append(root_).append("/").append(name);
  const std::string_view full_name = std::string_view(names_).substr(name_begin);
  entries_.push_back({names_.size(), count, written_, crc32, sums});
  const Entry& entry = entries_.back();
  const bool zip64 = entry.is_zip64();
  constexpr uint64_t kHeaderBytes = 30;
  constexpr uint64_t kExtraHeaderBytes = 4;
  const uint64_t zip64_bytes = zip64 ? kExtraHeaderBytes + 16 : 0;
  const uint64_t unpadded =
      written_ + kHeaderBytes + full_name.size() + zip64_bytes + kExtraHeaderBytes;
  const uint64_t padding = (kRecordAlignment - unpadded % kRecordAlignment) % kRecordAlignment;

  const uint64_t said = sums != nullptr ? 0 : count;
  fields_.u32(kLocalHeader).u16(zip64 ? kVersionOfZip64 : kVersion).u16(entry.flags()).u16(0);
  fields_.u16(0).u16(kFirstOf1980).u32(crc32);
  fields_.u32(zip64 ? kMax32 : said).u32(zip64 ? kMax32 : said);
  fields_.u16(full_name.size()).u16(zip64_bytes + kExtraHeaderBytes + padding).text(full_name);
  if (zip64) fields_.u16(kZip64Extra).u16(16).u64(said).u64(said);
  fields_.u16(kPaddingExtra).u16(padding).fill(padding, 'Z');
  write_fields();

  const uint64_t begin = written_;
  written_ += count;
  return begin;
}

void ZipWriter::write_descriptor(const Entry& entry) {
  const size_t width = entry.is_zip64() ? sizeof(uint64_t) : sizeof(uint32_t);
  const size_t count = 2 * sizeof(uint32_t) + 2 * width;
  sink_.write_late(count, [sums = entry.sums, bytes = entry.bytes, width](char* to) {
    std::string fields;
    base::append_little_endian(fields, kDescriptor, sizeof kDescriptor);
    base::append_little_endian(fields, sums->crc32, sizeof sums->crc32);
    base::append_little_endian(fields, bytes, width);  // Packed,
    base::append_little_endian(fields, bytes, width);  // and unpacked.
    std::memcpy(to, fields.data(), fields.size());
  });
  written_ += count;
}

void ZipWriter::finish() {
  sink_.drain();  // Now all sums are known.
  const uint64_t directory = written_;
  size_t name_begin = 0;
  for (const Entry& entry : entries_) {
    const std::string_view name(names_.data() + name_begin, entry.name_end - name_begin);
    name_begin = entry.name_end;
    base::LittleEndian zip64;
    if (entry.is_zip64()) zip64.u64(entry.bytes).u64(entry.bytes);
    if (entry.header_offset >= kMax32) zip64.u64(entry.header_offset);
    base::LittleEndian extra;
    if (zip64.size() > 0) extra.u16(kZip64Extra).u16(zip64.size()).text(zip64.bytes());
    const uint16_t version = zip64.size() > 0 ? kVersionOfZip64 : kVersion;
    fields_.u32(kDirectoryHeader).u16(version).u16(version).u16(entry.flags()).u16(0);
    fields_.u16(0).u16(kFirstOf1980).u32(entry.sums != nullptr ? entry.sums->crc32 : entry.crc32);
    fields_.u32(or_all_ones(entry.bytes)).u32(or_all_ones(entry.bytes));
    fields_.u16(name.size()).u16(extra.size()).u16(0);  // No comment,
    fields_.u16(0).u16(0).u32(0);                       // the first disk, no attributes.
    fields_.u32(or_all_ones(entry.header_offset)).text(name).text(extra.bytes());
    write_fields();
  }
  const uint64_t end = written_;
  const uint64_t count = entries_.size();
  const bool zip64 = count >= kMax16 || directory >= kMax32 || end - directory >= kMax32;
  if (zip64) {
    fields_.u32(kZip64EndRecord).u64(kZip64EndRecordBytes - 12);
    fields_.u16(kVersionOfZip64).u16(kVersionOfZip64).u32(0).u32(0);
    fields_.u64(count).u64(count).u64(end - directory).u64(directory);
    fields_.u32(kZip64Locator).u32(0).u64(end).u32(1);
  }
  const uint64_t small_count = count >= kMax16 ? kMax16 : count;
  fields_.u32(kEndRecord).u16(0).u16(0).u16(small_count).u16(small_count);
  fields_.u32(or_all_ones(end - directory)).u32(or_all_ones(directory)).u16(0);
  write_fields();
}

void ZipWriter::write_fields() {
  sink_.write(fields_.bytes().data(), fields_.size());
  written_ += fields_.size();
  fields_.clear();
}

}  // namespace checkpoint::format
