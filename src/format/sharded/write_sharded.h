#pragma once

#include "format/sharded/shard_plan.h"
#include "store/io/byte_sink.h"
#include "store/io/file_system.h"

#include <functional>
#include <map>
#include <string>

namespace checkpoint::format {

/// Writes one file with these tensors. `metadata` is that of a single file, empty for a shard.
using WriteTensors =
    std::function<void(const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata, store::ByteSink& sink)>;

/// Writes a model at `path` ("…/model.safetensors"), in as many files as the plan says. Of one
/// shard, `path` is the file. Of more, they are "…/model-00001-of-00002.safetensors" and so on, and
/// "…/model.safetensors.index.json" says what is in them. `metadata` goes into the single file or
/// the index, with the dropped names.
///
/// Replaces what an earlier save has left at the same path: its file, or its index and shards. The
/// index comes last. A crash leaves the old model, the new one, or, for the moment in which shards
/// of the same names are replaced, none with an index: then all new shards are on the disk, some
/// under hidden names. Old and new shards are never taken for one model.
///
/// Throws Error: no_space, io; io also if a file to be replaced is write-protected; and what
/// `write` throws. If it throws before the moment above, nothing has changed.
void write_sharded(store::FileSystem& fs, const std::string& path, const ShardPlan& plan,
                   std::map<std::string, std::string> metadata, const WriteTensors& write);

}  // namespace checkpoint::format
