#pragma once

#include "support/handmade_pickle.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// Indexes of distributed checkpoints (.metadata), in which a test can make any field wrong.

namespace checkpoint::format::handmade {

inline std::string dcp_class(const std::string& name) {
  const bool is_blob = name == "_StorageInfo";
  return global(
      std::string("torch.distributed.checkpoint.") + (is_blob ? "filesystem" : "metadata"), name);
}
/// An object with these fields.
inline std::string dcp_object(const std::string& name, const std::string& fields) {
  return dcp_class(name) + ")\x81" + dict(fields) + "b";
}
inline std::string torch_size(const std::vector<int64_t>& sizes) {
  return global("torch", "Size") + integers(sizes) + "\x85R";
}
inline std::string layout(const std::string& name) {
  return global("torch.serialization", "_get_layout") + text(name) + "\x85R";
}

struct IndexChunk {
  std::vector<int64_t> at = {0};
  std::vector<int64_t> sizes = {4};

  std::string build() const {
    return dcp_object("ChunkStorageMetadata",
                      text("offsets") + torch_size(at) + text("sizes") + torch_size(sizes));
  }
};

struct IndexTensor {
  std::string key = "w";
  std::vector<int64_t> size = {4};
  std::vector<IndexChunk> chunks = {IndexChunk()};
  std::string dtype = global("torch", "float32");
  std::string layout = handmade::layout("torch.strided");
  std::string memory_format = dcp_class("_MEM_FORMAT_ENCODING") + "K\x01\x85R";
  std::string more = {};        // Further fields.
  std::string chunk_list = {};  // Instead of the chunks.

  std::string build() const {
    std::string all;
    for (const IndexChunk& chunk : chunks) all += chunk.build();
    const std::string properties = dcp_class("TensorProperties") + ")\x81" +
                                   tuple(dtype + layout + "\x89" + memory_format + "\x89") + "b";
    return text(key) +
           dcp_object("TensorStorageMetadata",
                      text("properties") + properties + text("size") + torch_size(size) +
                          text("chunks") + (chunk_list.empty() ? list(all) : chunk_list) + more);
  }
};

struct IndexBlob {
  std::string key = "w";
  std::optional<std::vector<int64_t>> at = std::vector<int64_t>{0};
  std::string path = "__0_0.distcp";
  int64_t offset = 0;
  int64_t length = 0;     // 0: as long as the file.
  std::string more = {};  // Further fields.

  std::string build(int64_t file_bytes) const {
    std::string fields = text("fqn") + text(key) + text("index") + "N";
    if (at) fields += text("offset") + torch_size(*at);
    return dcp_object("MetadataIndex", fields) +
           dcp_object("_StorageInfo", text("relative_path") + text(path) + text("offset") +
                                          integer(offset) + text("length") +
                                          integer(length == 0 ? file_bytes : length) + more);
  }
};

struct HandmadeIndex {
  std::vector<IndexTensor> tensors = {IndexTensor()};
  std::vector<std::string> values = {};  // The keys.
  std::vector<IndexBlob> blobs = {IndexBlob()};
  std::string paths = "N";
  std::string more = {};  // Further fields.
  std::string behind = ".";

  std::string build(int64_t file_bytes) const {
    std::string metadata, storage;
    for (const IndexTensor& tensor : tensors) metadata += tensor.build();
    for (const std::string& key : values) {
      metadata += text(key) + dcp_class("BytesStorageMetadata") + ")\x81";
    }
    for (const IndexBlob& blob : blobs) storage += blob.build(file_bytes);
    return start() +
           dcp_object("Metadata", text("state_dict_metadata") + dict(metadata) +
                                      text("planner_data") + paths + text("storage_data") +
                                      dict(storage) + more) +
           behind;
  }
};

}  // namespace checkpoint::format::handmade
