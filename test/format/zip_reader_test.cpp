#include "format/zip/zip_reader.h"
#include "support/memory_source.h"

#include "support/catch.h"
#include "support/error_of.h"
#include "support/handmade_zip.h"

#include <ctime>
#include <functional>

using namespace checkpoint;
using namespace checkpoint::format;

namespace {

HandmadeZip two_records() {
  HandmadeZip zip;
  zip.records.resize(2);
  zip.records[0].name = "a/data.pkl";
  zip.records[0].bytes = "hello";
  zip.records[1].name = "a/data/0";
  zip.records[1].bytes = "0123456789";
  return zip;
}

std::string error_opening(const HandmadeZip& zip) {
  const MemorySource source(zip.build());
  return error_of([&] { ZipReader reader(source); });
}

// Opens the archive and reads every record.
std::string error_reading(const HandmadeZip& zip) {
  const MemorySource source(zip.build());
  return error_of([&] {
    const ZipReader reader(source);
    for (const ZipEntry& entry : reader.entries()) reader.read(entry, 1000);
  });
}

void check_two_records(const HandmadeZip& zip) {
  const std::string file = zip.build();
  const MemorySource source(file);
  const ZipReader reader(source);
  REQUIRE(reader.entries().size() == 2);
  REQUIRE(reader.find("a/data.pkl") != nullptr);
  REQUIRE(reader.find("a/data/0") != nullptr);
  CHECK(reader.find("a/data/1") == nullptr);
  const ZipEntry& entry = *reader.find("a/data/0");
  CHECK(entry.bytes == 10);
  CHECK(entry.compressed_bytes == 10);
  CHECK(entry.stored());
  CHECK(reader.data_offset(entry) == file.find("0123456789"));
  CHECK(reader.read(entry, 10) == "0123456789");
  CHECK(reader.read(*reader.find("a/data.pkl"), 10) == "hello");
}

}  // namespace

TEST_CASE("a zip archive's records are found", "[zip]") {
  HandmadeZip zip = two_records();
  SECTION("plain") { check_two_records(zip); }
  SECTION("with a zip64 end") {
    zip.zip64_end = true;
    check_two_records(zip);
  }
  SECTION("with zip64 sizes and offsets") {
    zip.records[0].in_zip64 = true;
    zip.records[1].in_zip64 = true;
    check_two_records(zip);
  }
  SECTION("with PyTorch's padding and descriptors") {
    zip.records[1].local_extra = "FB" + little(7, 2) + "ZZZZZZZ";
    zip.records[1].descriptor = "PK\x07\x08" + std::string(12, '\0');
    zip.records[0].descriptor = zip.records[1].descriptor;
    check_two_records(zip);
  }
  SECTION("with other fields before the zip64 field") {
    zip.records[0].directory_extra = little(0x4246, 2) + little(3, 2) + "abc";
    zip.records[0].in_zip64 = true;
    check_two_records(zip);
  }
  SECTION("none") {
    zip.records.clear();
    const MemorySource source(zip.build());
    CHECK(ZipReader(source).entries().empty());
  }
}

TEST_CASE("a bad zip archive is refused, and the error says why", "[zip]") {
  HandmadeZip zip = two_records();
  SECTION("empty file") {
    const MemorySource source("");
    CHECK(contains(error_of([&] { ZipReader reader(source); }), "corrupt: the file is too short"));
  }
  SECTION("text") {
    const MemorySource source(std::string(1000, 'x'));
    CHECK(contains(error_of([&] { ZipReader reader(source); }), "end record is missing"));
  }
  SECTION("bytes behind the end") {
    zip.behind = "x";
    CHECK(contains(error_opening(zip), "end record is missing (memory.pt)"));
  }
  SECTION("a comment that is not there") {
    zip.comment_bytes = 3;
    CHECK(contains(error_opening(zip), "a comment that is not there"));
  }
  SECTION("more records than the directory can hold") {
    zip.add_to_count = 60000;
    CHECK(contains(error_opening(zip), "corrupt: the directory claims 60002 records"));
  }
  SECTION("more records than memory can hold") {
    zip.zip64_end = true;
    zip.add_to_count = int64_t{1} << 60;
    CHECK(contains(error_opening(zip), "corrupt: the directory claims"));
  }
  SECTION("more records than there are") {
    zip.records[1].name = std::string(100, 'n');
    zip.add_to_count = 1;
    CHECK(contains(error_opening(zip), "a record's header is not in its place"));
  }
  SECTION("fewer records than there are") {
    zip.add_to_count = -1;
    CHECK(contains(error_opening(zip), "more bytes than records"));
  }
  SECTION("a directory that is larger than the file") {
    zip.zip64_end = true;
    zip.add_to_directory_bytes = int64_t{1} << 62;
    CHECK(contains(error_opening(zip), "does not end where the end record begins"));
  }
  SECTION("a directory behind the end") {
    zip.zip64_end = true;
    zip.add_to_directory_offset = -1 - (int64_t{1} << 20);
    CHECK(contains(error_opening(zip), "does not end where the end record begins"));
  }
  SECTION("a directory one byte off") {
    zip.add_to_directory_offset = 1;
    CHECK(contains(error_opening(zip), "does not end where the end record begins"));
  }
  SECTION("a zip64 end record outside the file") {
    zip.zip64_end = true;
    zip.add_to_zip64_record = int64_t{1} << 40;
    CHECK(contains(error_opening(zip), "zip64 end record lies outside"));
  }
  SECTION("a zip64 end record elsewhere") {
    zip.zip64_end = true;
    zip.add_to_zip64_record = -4;
    CHECK(contains(error_opening(zip), "zip64 end record is not in its place"));
  }
  SECTION("several disks") {
    zip.end_disk = 1;
    CHECK(contains(error_opening(zip), "unsupported: the archive is spread over several disks"));
  }
  SECTION("several disks, zip64") {
    zip.zip64_end = true;
    zip.end_disk = 1;
    CHECK(contains(error_opening(zip), "unsupported: the archive is spread over several disks"));
  }
  SECTION("a record on another disk") {
    zip.records[0].disk = 2;
    CHECK(contains(error_opening(zip), "unsupported: record 'a/data.pkl' lies on another disk"));
  }
  SECTION("an encrypted record") {
    zip.records[0].flags = 1;
    CHECK(contains(error_opening(zip), "unsupported: record 'a/data.pkl' is encrypted"));
  }
  SECTION("two records of one name") {
    zip.records[1].name = zip.records[0].name;
    CHECK(contains(error_opening(zip), "corrupt: two records are called 'a/data.pkl'"));
  }
  SECTION("a record without a name") {
    zip.records[0].name = "";
    CHECK(contains(error_opening(zip), "a name of 0 bytes"));
  }
  SECTION("a record with a name that is far too long") {
    zip.records[0].name = std::string(5000, 'n');
    CHECK(contains(error_opening(zip), "a name of 5000 bytes"));
  }
  SECTION("a stored record with two sizes") {
    zip.records[0].add_to_bytes = 1;
    CHECK(contains(error_opening(zip), "'a/data.pkl' is stored, but has two sizes"));
  }
  SECTION("a record outside the file") {
    zip.records[1].add_to_offset = 1 << 20;
    CHECK(contains(error_opening(zip), "'a/data/0' overlaps the next one, or lies outside"));
  }
  SECTION("a record with an offset near the end of all numbers") {
    zip.records[1].in_zip64 = true;
    zip.records[1].add_to_offset = -200;
    CHECK(contains(error_opening(zip), "'a/data/0' overlaps the next one, or lies outside"));
  }
  SECTION("a record with a size near the end of all numbers") {
    zip.records[1].in_zip64 = true;
    zip.records[1].add_to_bytes = -20;
    zip.records[1].add_to_compressed = -20;
    CHECK(contains(error_opening(zip), "'a/data/0' overlaps the next one, or lies outside"));
  }
  SECTION("two records at one place") {
    zip.records[1].add_to_offset = -static_cast<int64_t>(30 + 10 + 5);
    CHECK(contains(error_opening(zip), "overlaps the next one"));
  }
  SECTION("a record that swallows the next one") {
    zip.records[0].add_to_bytes = 20;
    zip.records[0].add_to_compressed = 20;
    CHECK(contains(error_opening(zip), "'a/data.pkl' overlaps the next one"));
  }
  SECTION("a record that reaches into the next one by its local header") {
    zip.records[0].local_extra = std::string(100, 'Z');
    zip.records[0].add_to_bytes = 50;
    zip.records[0].add_to_compressed = 50;
    CHECK(error_opening(zip).empty());
    CHECK(contains(error_reading(zip), "'a/data.pkl' reaches into the next one"));
  }
  SECTION("a torn extra field") {
    zip.records[0].directory_extra = little(0x4246, 2) + little(30, 2) + "abc";
    CHECK(contains(error_opening(zip), "'a/data.pkl' has a torn extra field"));
  }
  SECTION("a short zip64 field") {
    zip.records[0].add_to_bytes = zip.records[0].add_to_compressed = 0xffffffffLL - 5;
    zip.records[0].directory_extra = little(1, 2) + little(8, 2) + little(5, 8);
    CHECK(contains(error_opening(zip), "'a/data.pkl' has a short zip64 field"));
  }
  SECTION("two zip64 fields") {
    zip.records[0].directory_extra = little(1, 2) + little(24, 2) + std::string(24, '\0');
    zip.records[0].in_zip64 = true;
    CHECK(contains(error_opening(zip), "'a/data.pkl' has two zip64 fields"));
  }
  SECTION("a local header with another name") {
    zip.records[1].local_name = "a/data/1";
    CHECK(contains(error_reading(zip), "local header of record 'a/data/0' bears another name"));
  }
  SECTION("a local header that is none") {
    zip.records[1].local_signature = 0x12345678;
    CHECK(contains(error_reading(zip), "local header of record 'a/data/0' is not in its place"));
  }
  SECTION("a record that is packed in an unknown way") {
    zip.records[1].method = 12;
    CHECK(contains(error_reading(zip), "unsupported: record 'a/data/0' is packed by method 12"));
  }
  SECTION("a record that is not what deflate makes") {
    zip.records[1].method = 8;
    CHECK(contains(error_reading(zip), "corrupt: record 'a/data/0' does not unpack"));
  }
  SECTION("a record that claims more than deflate can pack") {
    zip.records[1].method = 8;
    zip.records[1].add_to_bytes = 20000;
    CHECK(contains(error_opening(zip), "corrupt: record 'a/data/0' claims 20010 bytes"));
  }
  SECTION("a record over the limit") {
    zip.records[1].bytes = std::string(1001, 'x');
    CHECK(contains(error_reading(zip), "corrupt: record 'a/data/0' has 1001 bytes"));
  }
  SECTION("a name that writes to the terminal") {
    zip.records[0].name = "\x1b[2Jname";
    zip.records[0].flags = 1;
    CHECK(contains(error_opening(zip), "'?[2Jname'"));
  }
}

TEST_CASE("a directory of 48,000 records opens quickly", "[zip]") {
  HandmadeZip zip;
  for (int i = 0; i < 48000; ++i) {
    HandmadeZip::Record record;
    record.name = "archive/data/" + std::to_string(i);
    record.bytes = "1234";
    zip.records.push_back(record);
  }
  zip.zip64_end = true;
  const MemorySource source(zip.build());
  const std::clock_t start = std::clock();  // Of this process: others may be at work too.
  const ZipReader reader(source);
  for (const ZipEntry& entry : reader.entries()) reader.data_offset(entry);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  CHECK(reader.entries().size() == 48000);
  // A generous bound: what it guards against is growth with the square of the number.
  CHECK(seconds < 5.0);
}
