// Any bytes as a safetensors file; and as the header of one that is as long as it says.

#include "fuzz/fuzzing.h"
#include "fuzz/memory_source.h"

#include "format/map_tensors.h"
#include "format/safetensors.h"
#include "format/tensor_loader.h"

#include <string>

using namespace checkpoint::format;

namespace {

void read(const std::string& bytes) {
  const test::MemorySource source(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  test::allow_errors([&] {
    const DecodedArchive archive = read_safetensors(source);
    TensorLoader loader(source, archive, nullptr);
    map_tensors(archive.tree(), [&](const at::Tensor& placeholder) {
      const at::Tensor tensor = loader.load(placeholder);
      if (tensor.nbytes() > bytes.size()) std::abort();
      return tensor;
    });
  });
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
