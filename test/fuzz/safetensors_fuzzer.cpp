// Any bytes as a safetensors file; and as the header of one that is as long as it says.

#include "fuzz/fuzzing.h"
#include "fuzz/load_all.h"
#include "support/memory_source.h"

#include <string>

namespace {

void read(const std::string& bytes) {
  const checkpoint::MemorySource source(bytes);
  test::allow_errors([&] { test::load_all(source); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  std::string length;
  for (int i = 0; i < 8; ++i) length += static_cast<char>(size >> (8 * i));
  read(length + bytes);
  return 0;
}
