#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint::format {

/// The number's `width` lowest bytes, the lowest first.
inline std::string little(uint64_t value, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

/// Writes zip archives in which a test can make any field wrong.
struct HandmadeZip {
  struct Record {
    std::string name;
    std::string bytes;
    uint16_t method = 0;
    uint16_t flags = 0;
    uint16_t disk = 0;
    std::string local_name = {};       // Empty: the same.
    std::string local_extra = {};      // PyTorch's padding, say.
    std::string descriptor = {};       // Behind the bytes.
    std::string directory_extra = {};  // With its own id and size.
    int64_t add_to_offset = 0;         // To the local header's place, as the directory says it.
    int64_t add_to_bytes = 0;          // To the unpacked size.
    int64_t add_to_compressed = 0;     // To the size in the file.
    uint32_t local_signature = 0x04034b50;
    bool in_zip64 = false;  // The zip64 extra holds all three numbers.
    uint32_t crc32 = 0;
  };

  std::vector<Record> records;
  bool zip64_end = false;
  std::string between;  // Between the records and the directory.
  std::string behind;   // Behind the end.
  int64_t add_to_count = 0;
  int64_t add_to_directory_bytes = 0;
  int64_t add_to_directory_offset = 0;
  int64_t add_to_zip64_record = 0;
  uint16_t end_disk = 0;
  uint16_t comment_bytes = 0;

  std::string build() const {
    std::string file;
    std::string directory;
    for (const Record& record : records) {
      const uint64_t offset = file.size() + record.add_to_offset;
      const uint64_t bytes = record.bytes.size() + record.add_to_bytes;
      const uint64_t compressed = record.bytes.size() + record.add_to_compressed;
      const std::string& local_name = record.local_name.empty() ? record.name : record.local_name;
      file += little(record.local_signature, 4) + little(20, 2) + little(record.flags, 2) +
              little(record.method, 2) + little(0, 4) + little(record.crc32, 4) +
              little(compressed, 4) + little(bytes, 4) + little(local_name.size(), 2) +
              little(record.local_extra.size(), 2) + local_name + record.local_extra +
              record.bytes + record.descriptor;

      std::string extra = record.directory_extra;
      const uint64_t all = 0xffffffff;
      if (record.in_zip64) {
        extra += little(1, 2) + little(24, 2) + little(bytes, 8) + little(compressed, 8) +
                 little(offset, 8);
      }
      directory += little(0x02014b50, 4) + little(0, 2) + little(20, 2) + little(record.flags, 2) +
                   little(record.method, 2) + little(0, 4) + little(record.crc32, 4) +
                   little(record.in_zip64 ? all : compressed, 4) +
                   little(record.in_zip64 ? all : bytes, 4) + little(record.name.size(), 2) +
                   little(extra.size(), 2) + little(0, 2) + little(record.disk, 2) + little(0, 6) +
                   little(record.in_zip64 ? all : offset, 4) + record.name + extra;
    }
    file += between;
    const uint64_t directory_offset = file.size() + add_to_directory_offset;
    const uint64_t directory_bytes = directory.size() + add_to_directory_bytes;
    const uint64_t count = records.size() + add_to_count;
    file += directory;
    if (zip64_end) {
      const uint64_t record_offset = file.size() + add_to_zip64_record;
      file += little(0x06064b50, 4) + little(44, 8) + little(0, 4) + little(end_disk, 4) +
              little(0, 4) + little(count, 8) + little(count, 8) + little(directory_bytes, 8) +
              little(directory_offset, 8);
      file += little(0x07064b50, 4) + little(0, 4) + little(record_offset, 8) + little(1, 4);
    }
    const uint64_t all = ~uint64_t{0};
    file += little(0x06054b50, 4) + little(zip64_end ? 0 : end_disk, 2) + little(0, 2) +
            little(zip64_end ? all : count, 2) + little(zip64_end ? all : count, 2) +
            little(zip64_end ? all : directory_bytes, 4) +
            little(zip64_end ? all : directory_offset, 4) + little(comment_bytes, 2);
    return file + behind;
  }
};

}  // namespace checkpoint::format
