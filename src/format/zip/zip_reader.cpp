// A zip archive's directory, read from the back and checked before it is used. Layout, from the
// front:
//
//   records        local header, name, extra field, bytes, perhaps a descriptor
//   directory      one header for each record
//   zip64 parts    end record and its locator, if there are any
//   end record
//
// Records must not overlap each other or the directory. So two readers cannot disagree about what
// the archive holds.

#include "format/zip/zip_reader.h"

#include "base/in_quotes.h"
#include "base/little_endian.h"
#include "format/zip/inflate.h"
#include "format/zip/zip_records.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <numeric>

namespace checkpoint::format {

namespace {

using namespace zip;

constexpr uint64_t kLocalHeaderBytes = 30;
constexpr uint64_t kDirectoryHeaderBytes = 46;
constexpr uint64_t kEndRecordBytes = 22;
constexpr uint64_t kZip64LocatorBytes = 20;

// A 16-bit or 32-bit field with this value: the number is in the zip64 part.
constexpr uint16_t kIn64of16 = 0xffff;
constexpr uint32_t kIn64of32 = 0xffffffff;
// Flags: encrypted, strongly encrypted, directory encrypted.
constexpr uint16_t kEncryptionFlags = 0x0001 | 0x0040 | 0x2000;

// Far above what any checkpoint has, and low enough to do no harm.
constexpr uint64_t kMaxEntries = uint64_t{1} << 22;
constexpr uint64_t kMaxDirectoryBytes = uint64_t{1} << 29;
constexpr size_t kMaxNameBytes = 4096;

[[noreturn]] void unsupported(const std::string& what, const store::ByteSource& source) {
  throw Error(ErrorCode::kUnsupported, what, source.name());
}

// Reads little-endian numbers from bytes in memory. The caller checks that there are enough bytes.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : bytes_(bytes) {}

  size_t left() const { return bytes_.size(); }
  uint16_t u16() { return static_cast<uint16_t>(number(2)); }
  uint32_t u32() { return static_cast<uint32_t>(number(4)); }
  uint64_t u64() { return number(8); }
  std::string_view take(size_t count) {
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }

 private:
  uint64_t number(size_t width) {
    const uint64_t value = base::read_little_endian(bytes_.data(), width);
    bytes_.remove_prefix(width);
    return value;
  }

  std::string_view bytes_;
};

std::string bytes_at(const store::ByteSource& source, uint64_t offset, uint64_t count) {
  std::string bytes(count, '\0');
  source.read_at(offset, bytes.data(), bytes.size());
  return bytes;
}

// Where the directory is in the file, and how many records it lists.
struct Directory {
  uint64_t offset;
  uint64_t bytes;
  uint64_t count;
};

// Reads the zip64 end record, which ends at `end`: there its locator begins.
Directory read_zip64_end(const store::ByteSource& source, uint64_t record, uint64_t end) {
  if (record > end || end - record < kZip64EndRecordBytes) {
    store::throw_corrupt("the zip64 end record lies outside the file", source);
  }
  const std::string bytes = bytes_at(source, record, kZip64EndRecordBytes);
  Fields fields(bytes);
  if (fields.u32() != kZip64EndRecord)
    store::throw_corrupt("the zip64 end record is not in its place", source);
  // The record's own size does not count its first twelve bytes.
  if (fields.u64() != end - record - 12) {
    store::throw_corrupt("the zip64 end record has the wrong size", source);
  }
  fields.take(4);  // The versions of zip that made it and that can read it.
  if (fields.u32() != 0 || fields.u32() != 0) {
    unsupported("the archive is spread over several disks", source);
  }
  Directory directory{};
  const uint64_t count_here = fields.u64();
  directory.count = fields.u64();
  directory.bytes = fields.u64();
  directory.offset = fields.u64();
  if (count_here != directory.count) {
    unsupported("the archive is spread over several disks", source);
  }
  return directory;
}

// Finds where the zip64 end record should be. Returns false if it has no locator.
bool read_zip64_locator(const store::ByteSource& source, uint64_t end, uint64_t& record) {
  if (end < kZip64LocatorBytes) return false;
  const std::string bytes = bytes_at(source, end - kZip64LocatorBytes, kZip64LocatorBytes);
  Fields fields(bytes);
  if (fields.u32() != kZip64Locator) return false;
  const uint32_t disk = fields.u32();
  record = fields.u64();
  if (disk != 0 || fields.u32() > 1) {
    unsupported("the archive is spread over several disks", source);
  }
  return true;
}

// Finds the directory from the file's last bytes, and checks that it ends where the end records
// begin.
Directory find_directory(const store::ByteSource& source, uint64_t file_bytes) {
  if (file_bytes < kEndRecordBytes) {
    store::throw_corrupt("the file is too short to be a zip archive", source);
  }
  uint64_t end = file_bytes - kEndRecordBytes;
  const std::string bytes = bytes_at(source, end, kEndRecordBytes);
  Fields fields(bytes);
  if (fields.u32() != kEndRecord) {
    store::throw_corrupt("not a zip archive, or truncated: the end record is missing", source);
  }
  const uint16_t disk = fields.u16();
  const uint16_t directory_disk = fields.u16();
  const uint16_t count_here = fields.u16();
  const uint16_t count = fields.u16();
  const uint32_t directory_bytes = fields.u32();
  const uint32_t directory_offset = fields.u32();
  if (fields.u16() != 0)
    store::throw_corrupt("the end record announces a comment that is not there", source);

  Directory directory{directory_offset, directory_bytes, count};
  uint64_t zip64_record = 0;
  if (read_zip64_locator(source, end, zip64_record)) {
    directory = read_zip64_end(source, zip64_record, end - kZip64LocatorBytes);
    end = zip64_record;
    if ((count != kIn64of16 && count != directory.count) ||
        (directory_bytes != kIn64of32 && directory_bytes != directory.bytes) ||
        (directory_offset != kIn64of32 && directory_offset != directory.offset)) {
      store::throw_corrupt("the two end records contradict each other", source);
    }
  } else if (disk != 0 || directory_disk != 0 || count_here != count) {
    unsupported("the archive is spread over several disks", source);
  }

  if (directory.offset > end || end - directory.offset != directory.bytes) {
    store::throw_corrupt("the directory does not end where the end record begins", source);
  }
  if (directory.count > directory.bytes / kDirectoryHeaderBytes) {
    store::throw_corrupt("the directory claims " + std::to_string(directory.count) +
                             " records in " + std::to_string(directory.bytes) + " bytes",
                         source);
  }
  if (directory.count > kMaxEntries || directory.bytes > kMaxDirectoryBytes) {
    unsupported("the archive has too many records", source);
  }
  return directory;
}

// Replaces the fields that refer to the zip64 part by the values in it.
void apply_zip64_extra(ZipEntry& entry, std::string_view extra, const store::ByteSource& source) {
  bool found = false;
  Fields all(extra);
  while (all.left() > 0) {
    if (all.left() < 4)
      store::throw_corrupt("record " + base::in_quotes(entry.name) + " has a torn extra field",
                           source);
    const uint16_t id = all.u16();
    const uint16_t size = all.u16();
    if (size > all.left()) {
      store::throw_corrupt("record " + base::in_quotes(entry.name) + " has a torn extra field",
                           source);
    }
    Fields field(all.take(size));
    if (id != kZip64Extra) continue;
    if (found)
      store::throw_corrupt("record " + base::in_quotes(entry.name) + " has two zip64 fields",
                           source);
    found = true;
    for (uint64_t* value : {&entry.bytes, &entry.compressed_bytes, &entry.header_offset}) {
      if (*value != kIn64of32) continue;
      if (field.left() < 8) {
        store::throw_corrupt("record " + base::in_quotes(entry.name) + " has a short zip64 field",
                             source);
      }
      *value = field.u64();
    }
  }
}

// Reads one header of the directory. Its offset is checked later, together with all others.
ZipEntry read_entry(Fields& directory, const store::ByteSource& source) {
  if (directory.left() < kDirectoryHeaderBytes || directory.u32() != kDirectoryHeader) {
    store::throw_corrupt("the directory is damaged: a record's header is not in its place", source);
  }
  ZipEntry entry{};
  directory.take(4);  // The versions of zip that made it and that can read it.
  const uint16_t flags = directory.u16();
  entry.method = directory.u16();
  directory.take(4);  // Time and date.
  entry.crc32 = directory.u32();
  entry.compressed_bytes = directory.u32();
  entry.bytes = directory.u32();
  const uint16_t name_bytes = directory.u16();
  const uint16_t extra_bytes = directory.u16();
  const uint16_t comment_bytes = directory.u16();
  const uint16_t disk = directory.u16();
  directory.take(6);  // Attributes.
  entry.header_offset = directory.u32();

  if (size_t{name_bytes} + extra_bytes + comment_bytes > directory.left()) {
    store::throw_corrupt("the directory is damaged: a record's name does not fit into it", source);
  }
  if (name_bytes == 0 || name_bytes > kMaxNameBytes) {
    store::throw_corrupt("a record has a name of " + std::to_string(name_bytes) + " bytes", source);
  }
  entry.name = directory.take(name_bytes);
  apply_zip64_extra(entry, directory.take(extra_bytes), source);
  directory.take(comment_bytes);

  if ((flags & kEncryptionFlags) != 0) {
    unsupported("record " + base::in_quotes(entry.name) + " is encrypted", source);
  }
  if (disk != 0)
    unsupported("record " + base::in_quotes(entry.name) + " lies on another disk", source);
  if (entry.stored() && entry.bytes != entry.compressed_bytes) {
    store::throw_corrupt("record " + base::in_quotes(entry.name) + " is stored, but has two sizes",
                         source);
  }
  if (entry.deflated() && !can_be_deflated(entry.bytes, entry.compressed_bytes)) {
    store::throw_corrupt("record " + base::in_quotes(entry.name) + " claims " +
                             std::to_string(entry.bytes) + " bytes, more than can be packed into " +
                             std::to_string(entry.compressed_bytes),
                         source);
  }
  return entry;
}

// The least space that a record takes in the file; its local header may need more.
bool fits_before(const ZipEntry& entry, uint64_t limit) {
  const uint64_t least = kLocalHeaderBytes + entry.name.size();
  return entry.header_offset <= limit && limit - entry.header_offset >= least &&
         limit - entry.header_offset - least >= entry.compressed_bytes;
}

// Limits each record to the space before the next one, and checks that it fits.
void check_places(std::vector<ZipEntry>& entries, uint64_t directory_offset,
                  const store::ByteSource& source) {
  std::vector<size_t> order(entries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t left, size_t right) {
    return entries[left].header_offset > entries[right].header_offset;
  });
  uint64_t limit = directory_offset;
  for (const size_t index : order) {
    ZipEntry& entry = entries[index];
    if (!fits_before(entry, limit)) {
      store::throw_corrupt("record " + base::in_quotes(entry.name) +
                               " overlaps the next one, or lies outside the file",
                           source);
    }
    entry.end_limit = limit;
    limit = entry.header_offset;
  }
}

}  // namespace

ZipReader::ZipReader(const store::ByteSource& source) : source_(source) {
  const Directory place = find_directory(source, source.size());
  directory_ = bytes_at(source, place.offset, place.bytes);
  Fields directory(directory_);
  entries_.reserve(place.count);
  for (uint64_t i = 0; i < place.count; ++i) entries_.push_back(read_entry(directory, source));
  if (directory.left() != 0)
    store::throw_corrupt("the directory has more bytes than records", source);
  check_places(entries_, place.offset, source);

  by_name_.reserve(entries_.size());
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (!by_name_.emplace(entries_[i].name, i).second) {
      store::throw_corrupt("two records are called " + base::in_quotes(entries_[i].name), source);
    }
  }
}

const ZipEntry* ZipReader::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

uint64_t ZipReader::data_offset(const ZipEntry& entry) const {
  char bytes[kLocalHeaderBytes + kMaxNameBytes];
  const size_t count = kLocalHeaderBytes + entry.name.size();
  source_.read_at(entry.header_offset, bytes, count);
  Fields fields({bytes, count});
  const auto damaged = [&](const char* how) {
    store::throw_corrupt("the local header of record " + base::in_quotes(entry.name) + how,
                         source_);
  };
  if (fields.u32() != kLocalHeader) damaged(" is not in its place");
  fields.take(2);  // The version of zip that can read it.
  const uint16_t flags = fields.u16();
  if (fields.u16() != entry.method || (flags & kEncryptionFlags) != 0) {
    damaged(" contradicts the directory");
  }
  fields.take(16);  // Time, date, checksum and sizes: those in the directory are used.
  const uint16_t name_bytes = fields.u16();
  const uint16_t extra_bytes = fields.u16();
  if (name_bytes != entry.name.size() || fields.take(entry.name.size()) != entry.name) {
    damaged(" bears another name");
  }
  const uint64_t offset = entry.header_offset + kLocalHeaderBytes + entry.name.size() + extra_bytes;
  // `entry` passed check_places: the subtraction cannot wrap once the offset is below the limit.
  if (offset > entry.end_limit || entry.end_limit - offset < entry.compressed_bytes) {
    store::throw_corrupt("record " + base::in_quotes(entry.name) + " reaches into the next one",
                         source_);
  }
  return offset;
}

void ZipReader::need_known_method(const ZipEntry& entry) const {
  if (entry.stored() || entry.deflated()) return;
  throw Error(ErrorCode::kUnsupported,
              "record " + base::in_quotes(entry.name) + " is packed by method " +
                  std::to_string(entry.method) + ", not by deflate",
              source_.name(), 0, "Unpack the archive, and pack it again with zip -0.");
}

std::string ZipReader::read(const ZipEntry& entry, uint64_t limit) const {
  need_known_method(entry);
  if (entry.bytes > limit) {
    store::throw_corrupt("record " + base::in_quotes(entry.name) + " has " +
                             std::to_string(entry.bytes) + " bytes, more than the " +
                             std::to_string(limit) + " that it may have",
                         source_);
  }
  if (entry.stored()) return bytes_at(source_, data_offset(entry), entry.bytes);
  std::string bytes(entry.bytes, '\0');
  inflate(source_, {data_offset(entry), entry.compressed_bytes, entry.bytes, entry.crc32},
          std::string(entry.name), bytes.data());
  return bytes;
}

}  // namespace checkpoint::format
