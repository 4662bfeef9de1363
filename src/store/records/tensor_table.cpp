#include "store/records/tensor_table.h"

#include "base/digest.h"
#include "base/json.h"
#include "store/io/byte_sink.h"
#include "store/records/names.h"

#include <checkpoint/error.h>

#include <algorithm>

namespace checkpoint::store {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr char kTableFormat[] = "torch-checkpoint-tensors";
constexpr int64_t kTableVersion = 1;
// The depth of a tensor's object: document, array, tensor.
constexpr int kTensorDepth = 2;

// Most texts need no escapes and are copied. The JSON library handles the others.
void append_text(std::string& line, const std::string& text) {
  const bool is_plain = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
  });
  if (is_plain) {
    line.append("\"").append(text).append("\"");
  } else {
    line += base::dump_json(ordered_json(text), -1);
  }
}

// Written by hand for speed: a table may have very many tensors.
void append_tensor(std::string& line, const TensorEntry& tensor) {
  append_text(line += "{\"key\":", tensor.key);
  append_text(line += ",\"dtype\":", tensor.dtype);
  line += ",\"shape\":[";
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    if (i > 0) line += ',';
    line += std::to_string(tensor.shape[i]);
  }
  append_text(line += "],\"device\":", tensor.device);
  append_text(line += ",\"file\":", tensor.file);
  line.append(",\"offset\":").append(std::to_string(tensor.offset));
  line.append(",\"bytes\":").append(std::to_string(tensor.bytes));
  append_text(line += ",\"xxh3_128\":", tensor.xxh3_128);
  line += '}';
}

TensorEntry decode_tensor(const json& object, const std::string& path) {
  const base::JsonFields fields(object, path);
  TensorEntry tensor;
  tensor.key = fields.string("key");
  tensor.dtype = fields.string("dtype");
  for (const json& size : fields.array("shape")) {
    tensor.shape.push_back(base::json_count(size, "shape", path));
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

// Reads a field that maps items to lists of names. Older files lack some fields: these are empty.
template <typename Lists>
std::map<std::string, Lists> decode_names(const base::JsonFields& fields, const char* field,
                                          const std::string& path) {
  std::map<std::string, Lists> result;
  if (!fields.has(field)) return result;
  try {
    for (const auto& item : fields.object(field).items()) {
      result[item.key()] = item.value().template get<Lists>();
    }
  } catch (const json::exception&) {
    throw Error(ErrorCode::kCorrupt,
                std::string("the field '") + field + "' has an entry that is not a list of names",
                path);
  }
  return result;
}

}  // namespace

void write_tensor_table(const TensorTable& table, ByteSink& sink) {
  std::string text = "{\n\"format\": \"" + std::string(kTableFormat) +
                     "\",\n\"format_version\": " + std::to_string(kTableVersion) +
                     ",\n\"tensors\": [";
  const char* separator = "\n";
  for (const TensorEntry& tensor : table.tensors) {
    append_tensor(text += separator, tensor);
    separator = ",\n";
    if (text.size() < base::kBlockBytes) continue;
    sink.write(text.data(), text.size());
    text.clear();
  }
  text += "\n],\n\"optimizer_parameters\": " +
          base::dump_json(ordered_json(table.optimizer_parameters), -1) +
          ",\n\"eval_modules\": " + base::dump_json(ordered_json(table.eval_modules), -1) + "\n}\n";
  sink.write(text.data(), text.size());
}

TensorTable decode_tensor_table(const std::string& text, const std::string& path) {
  TensorTable table;
  const json document = base::parse_json(text, path, [&](int depth, json& object) {
    if (depth != kTensorDepth) return true;
    table.tensors.push_back(decode_tensor(object, path));
    return false;
  });
  const base::JsonFields fields(document, path);
  if (fields.string("format") != kTableFormat ||
      fields.integer("format_version") != kTableVersion) {
    throw Error(ErrorCode::kCorrupt, "this is not a table of tensors that this library knows",
                path);
  }
  // The parser has passed each tensor to decode_tensor, so the array must be empty now.
  if (!fields.array("tensors").empty()) {
    throw Error(ErrorCode::kCorrupt, "the field 'tensors' has an entry that is not a tensor", path);
  }
  table.optimizer_parameters =
      decode_names<std::vector<std::vector<std::string>>>(fields, "optimizer_parameters", path);
  table.eval_modules = decode_names<std::vector<std::string>>(fields, "eval_modules", path);
  return table;
}

}  // namespace checkpoint::store
