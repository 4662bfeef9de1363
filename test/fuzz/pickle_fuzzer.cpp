// Any bytes as a pickle; and what is accepted as a tree comes back the same when it is written as
// Python's and read again.

#include "fuzz/fuzzing.h"

#include "format/pickle/pickle_reader.h"
#include "format/pickle/pickle_writer.h"

#include <ATen/Functions.h>

using namespace checkpoint;
using namespace checkpoint::format;

namespace {

Value read(const std::string& pickle) {
  const TensorMaker make = [](const TensorLayout&) { return at::empty({1}); };
  size_t end = 0;
  return read_pickle(pickle, "memory", make, &end);
}

std::string write(const Value& tree) {
  return write_pickle(tree, PthStorages(tree), RootDict::kPlain);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  test::allow_errors([&] {
    const std::string written = write(read({reinterpret_cast<const char*>(data), size}));
    if (written.find("_rebuild_tensor") == std::string::npos && write(read(written)) != written) {
      std::abort();
    }
  });
  return 0;
}
