#pragma once

#include "format/decode/decoded.h"
#include "format/sharded/find_shards.h"
#include "format/sharded/shard_index.h"
#include "store/io/byte_source.h"
#include "store/io/file.h"

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace checkpoint::format {

/// Reads one shard, but not the bytes of its tensors.
using ReadShard = std::function<DecodedArchive(const store::ByteSource& shard)>;

/// The open files of a model in several files: an index and its shards, or the files of several
/// ranks. Reading is thread-safe.
class ShardedModel {
 public:
  /// Opens all files. `found` is of the kind kIndex or kRankFiles. If another program replaces the
  /// shards at the same time, opens them again, so that all are of one save. Throws Error:
  /// not_found, naming the shards that are missing; corrupt; io.
  ShardedModel(store::FileSystem& fs, const FoundModel& found);

  /// The path of the index, or of the directory.
  const std::string& name() const { return name_; }
  size_t file_count() const { return files_.size(); }
  const store::File& file(size_t index) const { return files_.at(index); }
  /// The metadata of the index; empty without one.
  const std::map<std::string, std::string>& metadata() const { return index_.metadata; }

  /// Reads the headers of all shards and makes one tree of them: a flat Dict, or the tree that was
  /// saved. Each tensor must be in the shard that the index says, and there must be no other.
  /// Throws Error(corrupt), naming the file or the tensor, and what `read` throws.
  DecodedArchive decode(const ReadShard& read) const;

 private:
  bool open_shards(store::FileSystem& fs);
  void open_rank_files(store::FileSystem& fs);

  FoundModel::Kind kind_;
  std::string name_;
  ShardIndex index_;
  std::vector<store::File> files_;  // In the order of index_.shards, or of the ranks.
};

}  // namespace checkpoint::format
