// Any bytes as the index of a distributed checkpoint (.metadata), beside a file with good blobs: a
// tensor of four floats, twice, and a number. Whatever the index says: nothing but errors of this
// library is thrown, and no tensor is larger than the file.

#include "fuzz/fuzzing.h"

#include "format/dcp/directory.h"
#include "format/torch/pth_writer.h"
#include "format/tree/map_tensors.h"
#include "support/memory_file_system.h"

#include <ATen/Functions.h>

using namespace checkpoint;
using namespace checkpoint::format;

namespace {

class StringSink final : public store::ByteSink {
 public:
  void write(const void* data, size_t count) override {
    bytes.append(static_cast<const char*>(data), count);
  }
  std::string bytes;
};

const std::string& blobs() {
  static const std::string bytes = [] {
    StringSink sink;
    for (const Value& value : {Value(at::ones({4})), Value(at::ones({4})), Value(7)}) {
      write_pth(value, sink);
    }
    return sink.bytes;
  }();
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  test::MemoryFileSystem fs;
  fs.put("/d/.metadata", std::string(reinterpret_cast<const char*>(data), size));
  for (const char* name : {"/d/__0_0.distcp", "/d/__1_0.distcp"}) fs.put(name, blobs());
  test::allow_errors([&] {
    const dcp::Directory directory(fs, "/d");
    const DecodedArchive archive = directory.decode();
    const auto file = [&](size_t i) -> const store::ByteSource& { return directory.file(i); };
    map_tensors(archive.tree(), [&](const at::Tensor& placeholder) {
      const at::Tensor tensor = load_tensor(file, archive, placeholder);
      if (tensor.storage().nbytes() > 2 * blobs().size()) std::abort();
      return tensor;
    });
    directory.verify();
  });
  return 0;
}
