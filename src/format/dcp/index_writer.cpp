// Builds the pickle in protocol 2. What comes again and again (classes, names of fields) is put
// into the memo at the front, and recalled by its number. Letters are opcodes: 'c' a class or
// function,
// '}' an empty dict, '(' a mark, 'u' fills the dict, ')' an empty tuple, '\x81' NEWOBJ, 'b' BUILD,
// 't' a tuple, '\x85' a tuple of one, 'R' REDUCE, ']' a list, 'e' fills it, 'N' None, '\x89' False,
// 'q' and 'h' the memo, '0' POP.

#include "format/dcp/index_writer.h"

#include "base/little_endian.h"
#include "format/tree/dtype.h"

#include <array>
#include <limits>

namespace checkpoint::format::dcp {
namespace {

// Of the form of the index; PyTorch 2.9 and later write it.
constexpr char kVersion[] = "1.0.0";
constexpr char kMetadataModule[] = "torch.distributed.checkpoint.metadata";
constexpr char kFilesystemModule[] = "torch.distributed.checkpoint.filesystem";

// The numbers in the memo.
enum Known : char {
  kRootClass,
  kTensorClass,
  kBytesClass,
  kChunkClass,
  kIndexClass,
  kPropertiesClass,
  kBlobClass,
  kSize,
  kStrided,
  kMemoryFormat,
  kFileName,
  kProperties,
  kSizeField,
  kChunks,
  kOffsets,
  kSizes,
  kFqn,
  kIndex,
  kOffset,
  kRelativePath,
  kLength,
};

// Those from kProperties on.
constexpr std::array<const char*, 10> kFields = {"properties",    "size",  "chunks", "offsets",
                                                 "sizes",         "fqn",   "index",  "offset",
                                                 "relative_path", "length"};

void put_text(std::string& to, const std::string& text) {
  to += 'X';
  base::append_little_endian(to, text.size(), 4);
  to += text;
}

void put_integer(std::string& to, int64_t value) {
  const bool is_small = value >= 0 && value <= std::numeric_limits<uint8_t>::max();
  to += is_small ? "K" : "\x8a\x08";
  base::append_little_endian(to, static_cast<uint64_t>(value), is_small ? 1 : 8);
}

std::string global(const std::string& module, const std::string& name) {
  return 'c' + module + '\n' + name + '\n';
}

void recall(std::string& to, Known known) {
  to += 'h';
  to += known;
}

// An object of a class that is known, without its fields.
void put_new(std::string& to, Known known) {
  recall(to, known);
  to += ")\x81";
}

void put_sizes(std::string& to, at::IntArrayRef sizes) {
  recall(to, kSize);
  to += '(';
  for (const int64_t size : sizes) put_integer(to, size);
  to += "t\x85R";
}

void put_zeros(std::string& to, const at::Tensor& tensor) {
  put_sizes(to, std::vector<int64_t>(static_cast<size_t>(tensor.dim()), 0));
}

// Fills the memo, in the order of Known, and leaves the stack empty.
std::string prologue(const std::string& file) {
  std::vector<std::string> values;
  for (const char* name : {"Metadata", "TensorStorageMetadata", "BytesStorageMetadata",
                           "ChunkStorageMetadata", "MetadataIndex", "TensorProperties"}) {
    values.push_back(global(kMetadataModule, name));
  }
  values.push_back(global(kFilesystemModule, "_StorageInfo"));
  values.push_back(global("torch", "Size"));
  std::string layout = global("torch.serialization", "_get_layout");
  put_text(layout, "torch.strided");
  values.push_back(layout + "\x85R");
  std::string memory_format = global(kMetadataModule, "_MEM_FORMAT_ENCODING");
  put_integer(memory_format, 0);
  values.push_back(memory_format + "\x85R");
  values.emplace_back();
  put_text(values.back(), file);
  for (const char* field : kFields) {
    values.emplace_back();
    put_text(values.back(), field);
  }
  std::string out;
  for (size_t i = 0; i < values.size(); ++i) {
    out += values[i] + 'q' + static_cast<char>(i) + '0';
  }
  return out;
}

}  // namespace

void IndexWriter::add(const Leaf& leaf, const at::Tensor& tensor, uint64_t offset, uint64_t bytes) {
  put_text(metadata_, leaf.key);
  if (tensor.defined()) {
    put_tensor(tensor);
  } else {
    put_new(metadata_, kBytesClass);
  }
  put_path(leaf);
  put_blob(leaf, tensor, offset, bytes);
}

void IndexWriter::put_tensor(const at::Tensor& tensor) {
  std::string& out = metadata_;
  put_new(out, kTensorClass);
  out += "}(";
  recall(out, kProperties);
  put_new(out, kPropertiesClass);
  out += '(' + global("torch", dtype_name(tensor.scalar_type()));
  recall(out, kStrided);
  out += '\x89';
  recall(out, kMemoryFormat);
  out += "\x89tb";
  recall(out, kSizeField);
  put_sizes(out, tensor.sizes());
  recall(out, kChunks);
  out += "](";
  put_new(out, kChunkClass);
  out += "}(";
  recall(out, kOffsets);
  put_zeros(out, tensor);
  recall(out, kSizes);
  put_sizes(out, tensor.sizes());
  out += "ubeub";
}

void IndexWriter::put_path(const Leaf& leaf) {
  put_text(paths_, leaf.key);
  paths_ += '(';
  for (const Step& step : leaf.path) {
    if (const auto* index = std::get_if<int64_t>(&step)) {
      put_integer(paths_, *index);
    } else {
      put_text(paths_, std::get<std::string>(step));
    }
  }
  paths_ += 't';
}

void IndexWriter::put_blob(const Leaf& leaf, const at::Tensor& tensor, uint64_t offset,
                           uint64_t bytes) {
  std::string& out = storage_;
  put_new(out, kIndexClass);
  out += "}(";
  recall(out, kFqn);
  put_text(out, leaf.key);
  recall(out, kIndex);
  if (tensor.defined()) {
    put_integer(out, 0);
    recall(out, kOffset);
    put_zeros(out, tensor);
  } else {
    out += 'N';
  }
  out += "ub";
  put_new(out, kBlobClass);
  out += "}(";
  recall(out, kRelativePath);
  recall(out, kFileName);
  recall(out, kOffset);
  put_integer(out, static_cast<int64_t>(offset));
  recall(out, kLength);
  put_integer(out, static_cast<int64_t>(bytes));
  out += "ub";
}

std::string IndexWriter::finish() {
  std::string out = "\x80\x02" + prologue(file_);
  put_new(out, kRootClass);
  out += "}(";
  const auto put_dict = [&](const char* name, const std::string& entries) {
    put_text(out, name);
    out += "}(" + entries + 'u';
  };
  put_dict("state_dict_metadata", metadata_);
  put_dict("planner_data", paths_);
  put_dict("storage_data", storage_);
  put_text(out, "storage_meta");
  out += 'N';
  put_text(out, "version");
  put_text(out, kVersion);
  return out + "ub.";
}

}  // namespace checkpoint::format::dcp
