// Any text as the index of two shards, and any headers as theirs; or, if the index is empty, as the
// headers of two ranks' files. The input is up to three texts, each ended by a NUL: the index and
// the two headers. Each file has eight bytes of tensors. Whatever they say: nothing but errors of
// this library is thrown, and all tensors together are no larger than the files.

#include "fuzz/fuzzing.h"

#include "format/read_file.h"
#include "format/sharded/find_shards.h"
#include "format/sharded/sharded_model.h"
#include "format/tree/map_tensors.h"
#include "support/memory_file_system.h"

#include <array>
#include <string>

using namespace checkpoint;
using namespace checkpoint::format;

namespace {

constexpr size_t kDataBytes = 8;

std::array<std::string, 3> texts_of(const uint8_t* data, size_t size) {
  std::array<std::string, 3> texts;
  size_t text = 0;
  for (size_t i = 0; i < size && text < texts.size(); ++i) {
    if (data[i] == 0) {
      ++text;
    } else {
      texts[text] += static_cast<char>(data[i]);
    }
  }
  return texts;
}

std::string file_of(const std::string& header) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(uint64_t{header.size()} >> (8 * i));
  return bytes + header + std::string(kDataBytes, '\x01');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto [index, first, second] = texts_of(data, size);
  test::MemoryFileSystem fs;
  if (index.empty()) {
    fs.put("/m/shard-00001-model-00001-of-00001.safetensors", file_of(first));
    fs.put("/m/shard-00002-model-00001-of-00001.safetensors", file_of(second));
  } else {
    fs.put("/m/model.safetensors.index.json", index);
    fs.put("/m/a.safetensors", file_of(first));
    fs.put("/m/b.safetensors", file_of(second));
  }
  test::allow_errors([&] {
    const ShardedModel model(fs, find_model(fs, "/m"));
    const DecodedArchive archive = model.decode(read_file);
    const auto file = [&](size_t i) -> const store::ByteSource& { return model.file(i); };
    size_t bytes = 0;
    map_tensors(archive.tree(), [&](const at::Tensor& placeholder) {
      const at::Tensor tensor = load_tensor(file, archive, placeholder);
      bytes += tensor.storage().nbytes();
      return tensor;
    });
    if (bytes > 2 * kDataBytes) std::abort();
  });
  return 0;
}
