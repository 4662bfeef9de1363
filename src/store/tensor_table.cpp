#include "store/tensor_table.h"

#include "store/byte_sink.h"
#include "store/json.h"
#include "store/names.h"

namespace checkpoint::store {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr char kFormat[] = "torch-checkpoint-tensors";
constexpr int64_t kVersion = 1;
// Tensors are objects in an array in the document.
constexpr int kTensorDepth = 2;

void write(ByteSink& sink, const std::string& text) { sink.write(text.data(), text.size()); }

TensorEntry decode_tensor(const json& object, const std::string& path) {
  const JsonFields fields(object, path);
  TensorEntry tensor;
  tensor.key = fields.string("key");
  tensor.dtype = fields.string("dtype");
  for (const json& size : fields.array("shape")) {
    if (!size.is_number_unsigned()) {
      throw Error(ErrorCode::kCorrupt, "the field \"shape\" holds no sizes", path);
    }
    tensor.shape.push_back(size.get<int64_t>());
  }
  tensor.device = fields.string("device");
  tensor.file = fields.string("file");
  tensor.offset = fields.size("offset");
  tensor.bytes = fields.size("bytes");
  tensor.xxh3_128 = fields.string("xxh3_128");
  if (!is_plain_name(tensor.file)) {
    throw Error(ErrorCode::kCorrupt, "the table names a file outside the checkpoint", path);
  }
  return tensor;
}

std::vector<std::vector<std::string>> decode_parameters(const json& groups,
                                                        const std::string& path) {
  try {
    return groups.get<std::vector<std::vector<std::string>>>();
  } catch (const json::exception&) {
    throw Error(ErrorCode::kCorrupt, "the field \"optimizer_parameters\" holds no names", path);
  }
}

}  // namespace

void write_tensor_table(const TensorTable& table, ByteSink& sink) {
  write(sink, "{\n\"format\": \"" + std::string(kFormat) +
                  "\",\n\"format_version\": " + std::to_string(kVersion) + ",\n\"tensors\": [");
  const char* separator = "\n";
  for (const TensorEntry& tensor : table.tensors) {
    const ordered_json entry = {{"key", tensor.key},     {"dtype", tensor.dtype},
                                {"shape", tensor.shape}, {"device", tensor.device},
                                {"file", tensor.file},   {"offset", tensor.offset},
                                {"bytes", tensor.bytes}, {"xxh3_128", tensor.xxh3_128}};
    write(sink, separator + dump_json(entry, -1));
    separator = ",\n";
  }
  write(sink, "\n],\n\"optimizer_parameters\": " +
                  dump_json(ordered_json(table.optimizer_parameters), -1) + "\n}\n");
}

TensorTable decode_tensor_table(const std::string& text, const std::string& path) {
  TensorTable table;
  const json document = parse_json(text, path, [&](int depth, json& object) {
    if (depth != kTensorDepth) return true;
    table.tensors.push_back(decode_tensor(object, path));
    return false;
  });
  const JsonFields fields(document, path);
  if (fields.string("format") != kFormat || fields.integer("format_version") != kVersion) {
    throw Error(ErrorCode::kCorrupt, "this is no table of tensors that this library knows", path);
  }
  for (const auto& optimizer : fields.object("optimizer_parameters").items()) {
    table.optimizer_parameters[optimizer.key()] = decode_parameters(optimizer.value(), path);
  }
  return table;
}

}  // namespace checkpoint::store
