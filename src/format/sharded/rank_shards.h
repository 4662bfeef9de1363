#pragma once

#include "format/decode/decoded.h"
#include "store/io/file.h"

#include <string>
#include <string_view>
#include <vector>

// What PyTorch's HuggingFaceStorageWriter writes with save_distributed=True: each rank writes its
// own shards of tensors to a safetensors file, whose metadata says where they belong.

namespace checkpoint::format {

/// Returns whether `name` is that of such a file: "shard-00001-model-00001-of-00001.safetensors".
bool is_rank_shard(std::string_view name);

/// Returns the names of such files among `names`, sorted. Throws Error(not_found), naming
/// `directory`, if there are files of a later rank but none of an earlier one.
std::vector<std::string> rank_shards_of(const std::vector<std::string>& names,
                                        const std::string& directory);

/// Puts the tensors of such files together. Nothing in the files says how large a tensor is: it
/// ends where the last of its parts ends. Throws Error(corrupt), naming the file or tensor, if
/// parts overlap, leave a gap, or do not fit together.
DecodedArchive read_rank_shards(const std::vector<store::File>& files,
                                const std::string& directory);

}  // namespace checkpoint::format
