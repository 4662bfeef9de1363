// Any bytes as a zip archive, and each of its records read.

#include "fuzz/fuzzing.h"
#include "fuzz/memory_source.h"

#include "format/zip_reader.h"

using namespace checkpoint::format;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const test::MemorySource source(data, size);
  test::allow_errors([&] {
    const ZipReader zip(source);
    for (const ZipEntry& entry : zip.entries()) {
      test::allow_errors([&] {
        // A record's bytes lie in the file.
        if (zip.read_stored(entry, size).size() > size) std::abort();
      });
    }
  });
  return 0;
}
