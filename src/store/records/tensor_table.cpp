#include "store/records/tensor_table.h"

#include "base/json.h"
#include "base/parallel.h"
#include "store/io/byte_sink.h"
#include "store/records/tensor_rows.h"

#include <checkpoint/error.h>

#include <algorithm>

namespace checkpoint::store {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr char kTableFormat[] = "torch-checkpoint-tensors";
// The second version has tensors in parts, and items of single ranks.
constexpr int64_t kTableVersion = 1;
constexpr int64_t kTableVersionOfRanks = 2;

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

void append_list(std::string& line, const std::vector<std::string>& texts) {
  line += '[';
  for (size_t i = 0; i < texts.size(); ++i) append_text(line += i > 0 ? "," : "", texts[i]);
  line += ']';
}

void append_list(std::string& line, const std::vector<std::vector<std::string>>& lists) {
  line += '[';
  for (size_t i = 0; i < lists.size(); ++i) append_list(line += i > 0 ? "," : "", lists[i]);
  line += ']';
}

// `Lists` are lists of texts, by item.
template <typename Lists>
void append_items(std::string& text, const Lists& items) {
  const char* separator = "{";
  for (const auto& [item, lists] : items) {
    append_text(text += separator, item);
    append_list(text += ':', lists);
    separator = ",";
  }
  text += items.empty() ? "{}" : "}";
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

// Appends rows from `begin` to `end`, each with the separator before it.
void append_rows(std::string& text, const std::vector<TensorEntry>& tensors, size_t begin,
                 size_t end) {
  for (size_t i = begin; i < end; ++i) append_tensor(text += i == 0 ? "\n" : ",\n", tensors[i]);
}

// Each core makes the text of some rows.
void write_rows(const std::vector<TensorEntry>& tensors, ByteSink& sink) {
  constexpr size_t kRows = 2048;  // Half a MiB of text.
  std::vector<std::string> texts(base::thread_count());
  for (size_t begin = 0; begin < tensors.size(); begin += kRows * texts.size()) {
    const size_t left = tensors.size() - begin;
    const size_t blocks = std::min(texts.size(), (left + kRows - 1) / kRows);
    base::parallel_for(blocks, [&](base::Indices& indices) {
      for (size_t i = 0; indices.next(i);) {
        const size_t first = begin + i * kRows;
        texts[i].clear();
        append_rows(texts[i], tensors, first, std::min(first + kRows, tensors.size()));
      }
    });
    for (size_t i = 0; i < blocks; ++i) sink.write(texts[i].data(), texts[i].size());
  }
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
  std::string text = "\"optimizer_parameters\": ";
  append_items(text, names.optimizer_parameters);
  append_items(text += ",\n\"eval_modules\": ", names.eval_modules);
  return text;
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
  sink.write(text.data(), text.size());
  write_rows(table.tensors, sink);
  text = "\n],\n" + item_names_text(table);
  if (!table.of_ranks.empty()) {
    // Pairs, and no objects: an object in an outermost array is a tensor.
    text += ",\n\"of_ranks\": [";
    const char* separator = "\n";
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
  TensorRows rows(path);
  const json document = base::parse_json(text, path, &rows);
  table.tensors = rows.take();
  const base::JsonFields fields(document, path);
  const int64_t version =
      fields.string("format") == kTableFormat ? fields.integer("format_version") : 0;
  if (version < kTableVersion || version > kTableVersionOfRanks) {
    throw Error(ErrorCode::kCorrupt, "this is not a table of tensors that this library knows",
                path);
  }
  // Each tensor was a row, so the array must be empty now.
  if (!fields.array("tensors").empty()) {
    throw Error(ErrorCode::kCorrupt, "the field 'tensors' has an entry that is not a tensor", path);
  }
  static_cast<ItemNames&>(table) = decode_item_names(fields, path);
  table.of_ranks = decode_of_ranks(fields, path);
  return table;
}

}  // namespace checkpoint::store
