// Any bytes as a zip archive: each of its records is read, and what the archive holds is loaded, as
// `load` would.

#include "fuzz/fuzzing.h"
#include "fuzz/load_all.h"
#include "support/memory_source.h"

#include "format/zip/zip_reader.h"

using namespace checkpoint::format;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const checkpoint::MemorySource source({reinterpret_cast<const char*>(data), size});
  test::allow_errors([&] {
    const ZipReader zip(source);
    for (const ZipEntry& entry : zip.entries()) {
      test::allow_errors([&] {
        // A record's bytes lie in the file.
        if (zip.read(entry, size).size() > size) std::abort();
      });
    }
  });
  test::allow_errors([&] { test::load_all(source); });
  return 0;
}
