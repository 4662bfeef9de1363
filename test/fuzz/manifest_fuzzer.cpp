// Any bytes as a manifest: as they are, and with the right digest behind them, without which
// nothing is parsed. What is accepted must come back the same when it is written and read again.

#include "fuzz/fuzzing.h"

#include "store/records/manifest.h"

using namespace checkpoint::store;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  test::allow_errors([&] { decode_manifest(text, "manifest.json"); });
  test::allow_errors([&] {
    const checkpoint::Manifest manifest = decode_manifest(test::sealed(text), "manifest.json");
    const std::string written = encode_manifest(manifest);
    if (encode_manifest(decode_manifest(written, "written")) != written) std::abort();
  });
  return 0;
}
