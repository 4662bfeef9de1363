// Any bytes as a table of tensors. What is accepted must come back the same when it is written and
// read again.

#include "fuzz/fuzzing.h"

#include "store/io/byte_sink.h"
#include "store/records/tensor_table.h"

using namespace checkpoint::store;

namespace {

struct StringSink final : ByteSink {
  void write(const void* data, size_t count) override {
    text.append(static_cast<const char*>(data), count);
  }
  std::string text;
};

std::string encode(const TensorTable& table) {
  StringSink sink;
  write_tensor_table(table, sink);
  return sink.text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  test::allow_errors([&] {
    const std::string text(reinterpret_cast<const char*>(data), size);
    const std::string written = encode(decode_tensor_table(text, "tensors.json"));
    if (encode(decode_tensor_table(written, "written")) != written) std::abort();
  });
  return 0;
}
