#include "format/zip/zip_writer.h"

#include "format/zip/zip_records.h"

#include <libdeflate.h>

#include <utility>

namespace checkpoint::format {

namespace {

using namespace zip;

constexpr uint64_t kRecordAlignment = 64;
constexpr uint64_t kMax16 = 0xffff;
constexpr uint64_t kMax32 = 0xffffffff;
constexpr uint16_t kPaddingExtra = 0x4246;  // "FB", the id that PyTorch uses.
constexpr uint16_t kUtf8Names = 0x0800;
constexpr uint16_t kFirstOf1980 =
    0x0021;  // The earliest date, always the same: equal content gives equal files.
constexpr uint16_t kVersion = 20;
constexpr uint16_t kVersionOfZip64 = 45;

// A 32-bit field with this value: the number is in a zip64 field.
uint64_t or_all_ones(uint64_t value) { return value >= kMax32 ? kMax32 : value; }

}  // namespace

ZipWriter::ZipWriter(store::ByteSink& sink, std::string root)
    : sink_(sink), root_(std::move(root)) {}

uint64_t ZipWriter::add(const std::string& name, const std::string& bytes) {
  const uint64_t begin = begin_record(name, bytes.data(), bytes.size());
  sink_.write(bytes.data(), bytes.size());
  return begin;
}

uint64_t ZipWriter::add_lasting(const std::string& name, const void* data, size_t count,
                                std::string* digest) {
  const uint64_t begin = begin_record(name, data, count);
  sink_.write_lasting(data, count, digest);
  return begin;
}

uint64_t ZipWriter::begin_record(const std::string& name, const void* data, size_t count) {
  const uint32_t crc32 = count > 0 ? libdeflate_crc32(0, data, count) : 0;
  entries_.push_back({root_ + '/' + name, crc32, count, written_});
  const Entry& entry = entries_.back();
  const bool zip64 = count >= kMax32;
  constexpr uint64_t kHeaderBytes = 30;
  constexpr uint64_t kExtraHeaderBytes = 4;
  const uint64_t zip64_bytes = zip64 ? kExtraHeaderBytes + 16 : 0;
  const uint64_t unpadded =
      written_ + kHeaderBytes + entry.name.size() + zip64_bytes + kExtraHeaderBytes;
  const uint64_t padding = (kRecordAlignment - unpadded % kRecordAlignment) % kRecordAlignment;

  fields_.u32(kLocalHeader).u16(zip64 ? kVersionOfZip64 : kVersion).u16(kUtf8Names).u16(0);
  fields_.u16(0).u16(kFirstOf1980).u32(entry.crc32);
  fields_.u32(or_all_ones(count)).u32(or_all_ones(count));
  fields_.u16(entry.name.size()).u16(zip64_bytes + kExtraHeaderBytes + padding).text(entry.name);
  if (zip64) fields_.u16(kZip64Extra).u16(16).u64(count).u64(count);
  fields_.u16(kPaddingExtra).u16(padding).fill(padding, 'Z');
  write_fields();

  const uint64_t begin = written_;
  written_ += count;
  return begin;
}

void ZipWriter::finish() {
  const uint64_t directory = written_;
  for (const Entry& entry : entries_) {
    base::LittleEndian zip64;
    if (entry.bytes >= kMax32) zip64.u64(entry.bytes).u64(entry.bytes);
    if (entry.header_offset >= kMax32) zip64.u64(entry.header_offset);
    base::LittleEndian extra;
    if (zip64.size() > 0) extra.u16(kZip64Extra).u16(zip64.size()).text(zip64.bytes());
    const uint16_t version = zip64.size() > 0 ? kVersionOfZip64 : kVersion;
    fields_.u32(kDirectoryHeader).u16(version).u16(version).u16(kUtf8Names).u16(0);
    fields_.u16(0).u16(kFirstOf1980).u32(entry.crc32);
    fields_.u32(or_all_ones(entry.bytes)).u32(or_all_ones(entry.bytes));
    fields_.u16(entry.name.size()).u16(extra.size()).u16(0);  // No comment,
    fields_.u16(0).u16(0).u32(0);                             // the first disk, no attributes.
    fields_.u32(or_all_ones(entry.header_offset)).text(entry.name).text(extra.bytes());
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
