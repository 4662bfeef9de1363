// Safetensors files, read and written. The header names tensors (safetensors_header.cpp). A tree
// that is more than tensors by name is written into the header's metadata as JSON, so that this
// library reads back what it has written.

#include "format/safetensors/safetensors.h"

#include "base/in_quotes.h"
#include "base/json.h"
#include "base/little_endian.h"
#include "format/decode/placeholders.h"
#include "format/safetensors/safetensors_header.h"
#include "format/tree/dtype.h"
#include "format/tree/tree_json.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace checkpoint::format {

namespace {

// The reference implementation aligns the data to a multiple of this.
constexpr uint64_t kAlignment = 8;

// Whether the tree is only tensors with names: a reader that ignores the tree's JSON then loses
// nothing.
bool is_flat(const Value& tree) {
  return tree.is_dict() && std::all_of(tree.dict().begin(), tree.dict().end(), [](const auto& e) {
           return std::holds_alternative<std::string>(e.first) && e.second.is_tensor();
         });
}

Dimensions contiguous_strides(const std::vector<int64_t>& shape) {
  Dimensions strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

std::string quoted(const std::string& text) { return base::dump_json(text, -1); }

// A tensor and its name in the file.
struct Named {
  std::string name;
  at::Tensor tensor;
  int rank;
};

std::vector<Named> sorted_tensors(const Value& tree) {
  std::vector<Named> sorted;
  for (auto& [name, tensor] : named_tensors(tree)) {
    const int rank = safetensors_rank(tensor.scalar_type());
    if (rank < 0) {
      throw Error(ErrorCode::kUnsupported,
                  "the tensor " + base::in_quotes(name) + " is of the dtype " +
                      dtype_name(tensor.scalar_type()) + ", for which safetensors has no name",
                  "", 0, "Convert it, or save as .pth.");
    }
    if (name == "__metadata__") {
      throw Error(ErrorCode::kUnsupported,
                  "a tensor cannot be called '__metadata__' in a safetensors file");
    }
    sorted.push_back({std::move(name), tensor.contiguous(), rank});
  }
  std::sort(sorted.begin(), sorted.end(), [](const Named& left, const Named& right) {
    return left.rank != right.rank ? left.rank > right.rank : left.name < right.name;
  });
  return sorted;
}

std::string make_header(const std::vector<Named>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::string header = "{";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, text] : metadata) {
      if (header.back() != '{') header += ',';
      header += quoted(key) + ':' + quoted(text);
    }
    header += '}';
  }
  uint64_t offset = 0;
  for (const Named& named : tensors) {
    const std::vector<int64_t> shape =
        safetensors_shape(named.name, named.tensor.scalar_type(), named.tensor.sizes().vec());
    if (header.size() > 1) header += ',';
    header += quoted(named.name) + ":{\"dtype\":\"" +
              safetensors_dtype(named.tensor.scalar_type()) + "\",\"shape\":[";
    for (const int64_t size : shape) {
      if (header.back() != '[') header += ',';
      header += std::to_string(size);
    }
    header += "],\"data_offsets\":[" + std::to_string(offset) + ',';
    offset += static_cast<uint64_t>(named.tensor.numel()) * named.tensor.element_size();
    header += std::to_string(offset) + "]}";
  }
  header += '}';
  header.resize((header.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return header;
}

}  // namespace

DecodedArchive read_safetensors(const store::ByteSource& source) {
  const SafetensorsHeader header = read_safetensors_header(source);
  Placeholders placeholders(source);
  std::vector<at::Tensor> tensors;
  for (const SafetensorsEntry& entry : header.tensors) {
    const uint64_t bytes = entry.end - entry.begin;
    const auto numel = static_cast<int64_t>(bytes / c10::elementSize(entry.dtype));
    tensors.push_back(
        placeholders.make({entry.name, "cpu", entry.dtype, numel, 0, dimensions_of(entry.shape),
                           contiguous_strides(entry.shape), false},
                          {entry.name, header.data_offset + entry.begin, bytes}));
  }
  const auto tree = header.metadata.find(kTreeKey);
  if (tree == header.metadata.end()) {
    Dict flat;
    for (size_t i = 0; i < tensors.size(); ++i) flat.insert(header.tensors[i].name, tensors[i]);
    auto dropped = add_dropped_names(header.metadata, flat);
    return placeholders.finish(std::move(flat), std::move(dropped));
  }

  std::unordered_map<std::string, at::Tensor> by_name;
  for (size_t i = 0; i < tensors.size(); ++i) by_name.emplace(header.tensors[i].name, tensors[i]);
  std::unordered_set<std::string> used;
  Value value = tree_from_json(tree->second, source.name(), [&](const std::string& name) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) {
      throw Error(ErrorCode::kCorrupt,
                  "the tree in the metadata names the tensor " + base::in_quotes(name) +
                      ", which the file does not hold",
                  source.name());
    }
    used.insert(name);
    return found->second;
  });
  for (const SafetensorsEntry& entry : header.tensors) {
    if (used.count(entry.name) == 0) {
      throw Error(
          ErrorCode::kCorrupt,
          "the tree in the metadata does not name the tensor " + base::in_quotes(entry.name),
          source.name(), 0,
          std::string("The program that changed the file must remove the metadata's entry ") +
              kTreeKey + ".");
    }
  }
  return placeholders.finish(std::move(value));
}

std::map<std::string, std::string> add_dropped_names(
    const std::map<std::string, std::string>& metadata, Dict& flat) {
  std::map<std::string, std::string> dropped;
  for (const auto& [name, kept] : metadata) {
    if (flat.contains(name) || !flat.contains(kept)) continue;
    dropped.emplace(name, kept);
  }
  // Only now: a chain of dropped names would mean something else.
  for (const auto& [name, kept] : dropped) flat.insert(name, flat.at(kept));
  return dropped;
}

bool is_safetensors(const store::ByteSource& source) {
  constexpr uint64_t kEnough = 512;
  std::string begin(std::min(source.size(), kEnough), '\0');
  source.read_at(0, begin.data(), begin.size());
  return looks_like_safetensors(begin, source.size());
}

std::map<std::string, std::string> read_safetensors_metadata(const store::ByteSource& source) {
  auto metadata = read_safetensors_header(source).metadata;
  metadata.erase(kTreeKey);
  return metadata;
}

void write_safetensors(const Value& tree, const std::map<std::string, std::string>& metadata,
                       store::ByteSink& sink) {
  const torch::NoGradGuard no_grad;
  auto all_metadata = metadata;
  if (!is_flat(tree)) all_metadata[kTreeKey] = tree_to_json(tree);
  const std::vector<Named> tensors = sorted_tensors(tree);
  const std::string header = make_header(tensors, all_metadata);
  std::string length;
  base::append_little_endian(length, header.size(), sizeof(uint64_t));
  sink.write(length.data(), length.size());
  sink.write(header.data(), header.size());
  const store::DrainedAtEnd drained(sink);
  for (const Named& named : tensors) {
    const size_t bytes = static_cast<size_t>(named.tensor.numel()) * named.tensor.element_size();
    if (bytes > 0) sink.write_lasting(named.tensor.data_ptr(), bytes, nullptr);
  }
  sink.drain();
}

}  // namespace checkpoint::format
