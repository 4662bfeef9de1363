#include "store/records/tensor_table.h"

#include "base/digest.h"
#include "base/json.h"
#include "store/io/byte_sink.h"
#include "store/records/names.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <optional>

namespace checkpoint::store {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr char kTableFormat[] = "torch-checkpoint-tensors";
// The second version has tensors in parts, and items of single ranks.
constexpr int64_t kTableVersion = 1;
constexpr int64_t kTableVersionOfRanks = 2;
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

void append_numbers(std::string& line, const std::vector<int64_t>& numbers) {
  line += '[';
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0) line += ',';
    line += std::to_string(numbers[i]);
  }
  line += ']';
}

// `Place` is a TensorEntry or a TensorPart.
template <typename Place>
void append_place(std::string& line, const Place& place) {
  append_text(line += "\"file\":", place.file);
  line.append(",\"offset\":").append(std::to_string(place.offset));
  line.append(",\"bytes\":").append(std::to_string(place.bytes));
  line.append(",\"xxh3_128\":\"").append(place.xxh3_128.text()).append("\"");
}

void append_parts(std::string& line, const TensorEntry& tensor) {
  line += "\"parts\":[";
  for (size_t i = 0; i < tensor.parts.size(); ++i) {
    append_place(line += i == 0 ? "{" : ",{", tensor.parts[i]);
    append_numbers(line += ",\"at\":", tensor.parts[i].at);
    append_numbers(line += ",\"shape\":", tensor.parts[i].shape);
    line += '}';
  }
  line += ']';
}

// Written by hand for speed: a table may have very many tensors.
void append_tensor(std::string& line, const TensorEntry& tensor) {
  append_text(line += "{\"key\":", tensor.key);
  if (tensor.rank >= 0) line.append(",\"rank\":").append(std::to_string(tensor.rank));
  append_text(line += ",\"dtype\":", tensor.dtype);
  append_numbers(line += ",\"shape\":", tensor.shape);
  append_text(line += ",\"device\":", tensor.device);
  if (!tensor.strides.empty()) append_numbers(line += ",\"strides\":", tensor.strides);
  line += ',';
  if (tensor.parts.empty()) {
    append_place(line, tensor);
  } else {
    append_parts(line, tensor);
  }
  line += '}';
}

std::vector<int64_t> decode_numbers(const base::JsonFields& fields, const char* field,
                                    const std::string& path) {
  std::vector<int64_t> numbers;
  for (const json& number : fields.array(field)) {
    numbers.push_back(base::json_count(number, field, path));
  }
  return numbers;
}

base::Digest decode_digest(const base::JsonFields& fields, const std::string& path) {
  const std::optional<base::Digest> digest = base::Digest::from(fields.string("xxh3_128"));
  if (digest) return *digest;
  throw Error(ErrorCode::kCorrupt, "the field 'xxh3_128' is not a digest", path);
}

template <typename Place>
void decode_place(const base::JsonFields& fields, const std::string& path, Place& place) {
  place.file = fields.string("file");
  place.offset = fields.size("offset");
  place.bytes = fields.size("bytes");
  place.xxh3_128 = decode_digest(fields, path);
  if (!is_plain_name(place.file)) {
    throw Error(ErrorCode::kCorrupt, "the table names a file outside the checkpoint", path);
  }
}

void decode_parts(const base::JsonFields& fields, const std::string& path, TensorEntry& tensor) {
  for (const json& object : fields.array("parts")) {
    const base::JsonFields part_fields(object, path);
    TensorPart part;
    decode_place(part_fields, path, part);
    part.at = decode_numbers(part_fields, "at", path);
    part.shape = decode_numbers(part_fields, "shape", path);
    tensor.bytes += part.bytes;
    tensor.parts.push_back(std::move(part));
  }
}

TensorEntry decode_tensor(const json& object, const std::string& path) {
  const base::JsonFields fields(object, path);
  TensorEntry tensor;
  tensor.key = fields.string("key");
  tensor.dtype = fields.string("dtype");
  tensor.shape = decode_numbers(fields, "shape", path);
  tensor.device = fields.string("device");
  if (fields.has("rank")) tensor.rank = fields.integer("rank");
  if (fields.has("strides")) tensor.strides = decode_numbers(fields, "strides", path);
  if (fields.has("parts")) {
    decode_parts(fields, path, tensor);
  } else {
    decode_place(fields, path, tensor);
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

ItemNames decode_item_names(const base::JsonFields& fields, const std::string& path) {
  return {decode_names<std::vector<std::vector<std::string>>>(fields, "optimizer_parameters", path),
          decode_names<std::vector<std::string>>(fields, "eval_modules", path)};
}

std::string item_names_text(const ItemNames& names) {
  return "\"optimizer_parameters\": " +
         base::dump_json(ordered_json(names.optimizer_parameters), -1) +
         ",\n\"eval_modules\": " + base::dump_json(ordered_json(names.eval_modules), -1);
}

bool is_of_ranks(const TensorTable& table) {
  return !table.of_ranks.empty() ||
         std::any_of(table.tensors.begin(), table.tensors.end(), [](const TensorEntry& tensor) {
           return !tensor.parts.empty() || !tensor.strides.empty() || tensor.rank >= 0;
         });
}

}  // namespace

void write_tensor_table(const TensorTable& table, ByteSink& sink) {
  const int64_t version = is_of_ranks(table) ? kTableVersionOfRanks : kTableVersion;
  std::string text = "{\n\"format\": \"" + std::string(kTableFormat) +
                     "\",\n\"format_version\": " + std::to_string(version) + ",\n\"tensors\": [";
  const char* separator = "\n";
  for (const TensorEntry& tensor : table.tensors) {
    append_tensor(text += separator, tensor);
    separator = ",\n";
    if (text.size() < base::kBlockBytes) continue;
    sink.write(text.data(), text.size());
    text.clear();
  }
  text += "\n],\n" + item_names_text(table);
  if (!table.of_ranks.empty()) {
    // Pairs, and no object: at the depth of a tensor there are only tensors.
    text += ",\n\"of_ranks\": [";
    separator = "\n";
    for (const auto& [rank, names] : table.of_ranks) {
      text += separator + ('[' + std::to_string(rank)) + ", {" + item_names_text(names) + "}]";
      separator = ",\n";
    }
    text += "\n]";
  }
  text += "\n}\n";
  sink.write(text.data(), text.size());
}

namespace {

std::map<int64_t, ItemNames> decode_of_ranks(const base::JsonFields& fields,
                                             const std::string& path) {
  std::map<int64_t, ItemNames> result;
  if (!fields.has("of_ranks")) return result;
  for (const json& entry : fields.array("of_ranks")) {
    const bool is_pair = entry.is_array() && entry.size() == 2 && entry[0].is_number_unsigned() &&
                         entry[1].is_object();
    if (!is_pair) {
      throw Error(ErrorCode::kCorrupt,
                  "the field 'of_ranks' has an entry that is not a rank and its items", path);
    }
    result[base::json_count(entry[0], "of_ranks", path)] =
        decode_item_names(base::JsonFields(entry[1], path), path);
  }
  return result;
}

}  // namespace

TensorTable decode_tensor_table(const std::string& text, const std::string& path) {
  TensorTable table;
  const json document = base::parse_json(text, path, [&](int depth, json& object) {
    if (depth != kTensorDepth) return true;
    table.tensors.push_back(decode_tensor(object, path));
    return false;
  });
  const base::JsonFields fields(document, path);
  const int64_t version =
      fields.string("format") == kTableFormat ? fields.integer("format_version") : 0;
  if (version < kTableVersion || version > kTableVersionOfRanks) {
    throw Error(ErrorCode::kCorrupt, "this is not a table of tensors that this library knows",
                path);
  }
  // The parser has passed each tensor to decode_tensor, so the array must be empty now.
  if (!fields.array("tensors").empty()) {
    throw Error(ErrorCode::kCorrupt, "the field 'tensors' has an entry that is not a tensor", path);
  }
  static_cast<ItemNames&>(table) = decode_item_names(fields, path);
  table.of_ranks = decode_of_ranks(fields, path);
  return table;
}

}  // namespace checkpoint::store
