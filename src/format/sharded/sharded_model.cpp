// Opens the files of a sharded model and makes one tree of their tensors. All shards are opened at
// once and stay open: another program may replace them, and what is read must be of one save. A
// writer removes the index before it renames shards, and puts the new index last. So, if the index
// is still the same file when all shards are open, they belong to it.

#include "format/sharded/sharded_model.h"

#include "base/in_quotes.h"
#include "base/log.h"
#include "format/safetensors/safetensors.h"
#include "format/sharded/rank_shards.h"
#include "format/sharded/shard_assembly.h"
#include "format/tree/dense.h"
#include "format/tree/tree_json.h"

#include <checkpoint/error.h>

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace checkpoint::format {
namespace {

constexpr int kMostTries = 3;

std::string read_index(const store::File& file) {
  const uint64_t size = file.size();
  if (size > kMaxIndexBytes) {
    throw Error(ErrorCode::kCorrupt,
                "the index of the shards is too large: " + std::to_string(size) + " bytes",
                file.name());
  }
  std::string text(size, '\0');
  file.read_at(0, text.data(), text.size());
  return text;
}

// Whether the path still leads to this open file. Links are followed.
bool is_still_at(store::FileSystem& fs, const store::File& file) {
  struct stat here = {};
  struct stat there = {};
  if (fs.fstat(file.fd(), &here) != 0) {
    throw store::reading_failure("check the file", file.name(), errno);
  }
  if (fs.stat(file.name().c_str(), &there) != 0) return false;
  return here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

// Whether a regular file is at the end of the links.
bool is_file(store::FileSystem& fs, const std::string& path) {
  struct stat info = {};
  if (fs.stat(path.c_str(), &info) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) {
      throw store::reading_failure("check the shard", path, errno);
    }
    return false;
  }
  if (S_ISREG(info.st_mode)) return true;
  throw Error(ErrorCode::kUnsupported, "this shard is not a regular file", path);
}

void require_all(store::FileSystem& fs, const ShardIndex& index, const std::string& directory,
                 const std::string& path) {
  size_t there = 0;
  std::string missing;
  for (const std::string& shard : index.shards) {
    if (is_file(fs, store::join(directory, shard))) {
      ++there;
    } else if (missing.empty()) {
      missing = shard;
    }
  }
  if (missing.empty()) return;
  throw Error(ErrorCode::kNotFound,
              "the shard " + base::in_quotes(missing) + " is missing; of " +
                  std::to_string(index.shards.size()) + " shards, " + std::to_string(there) +
                  (there == 1 ? " is there" : " are there"),
              path, 0, "Copy or download the missing files into the same directory.");
}

// Reads one shard, and checks that it is of the kind that its name says.
DecodedArchive read_shard(const store::File& file, const ShardKind& kind, const ReadShard& read) {
  DecodedArchive archive = read(file);
  const bool should_be = kind.shard_end == ".safetensors";
  if (is_safetensors(file) == should_be) return archive;
  throw Error(ErrorCode::kCorrupt,
              should_be ? "this shard is not a safetensors file, as its name says"
                        : "this shard is a safetensors file, and its name says something else",
              file.name());
}

// Checks the shards against the index, and puts their tensors in the index's order.
class IndexedTensors {
 public:
  IndexedTensors(const ShardIndex& index, const std::string& path) : index_(index), path_(path) {
    for (const auto& [name, shard] : index.weights) wanted_.emplace(name, shard);
  }

  void add(const std::string& name, const at::Tensor& tensor, size_t shard,
           const std::string& file) {
    const auto wanted = wanted_.find(name);
    if (wanted == wanted_.end()) {
      throw Error(ErrorCode::kCorrupt,
                  "this shard holds the tensor " + base::in_quotes(name) +
                      ", which the index does not name",
                  file);
    }
    if (wanted->second != shard) {
      throw Error(ErrorCode::kCorrupt,
                  "this shard holds the tensor " + base::in_quotes(name) +
                      ", which the index places in " +
                      base::in_quotes(index_.shards[wanted->second]),
                  file);
    }
    bytes_ += bytes_of(tensor);
    tensors_.emplace(name, tensor);
  }

  // Returns them all. Throws if a tensor is missing.
  Dict take() {
    Dict tree;
    for (const auto& [name, shard] : index_.weights) {
      const auto found = tensors_.find(name);
      if (found == tensors_.end()) {
        throw Error(ErrorCode::kCorrupt,
                    "the tensor " + base::in_quotes(name) + " is not in the shard " +
                        base::in_quotes(index_.shards[shard]) + ", where the index places it",
                    path_);
      }
      tree.insert(name, found->second);
    }
    return tree;
  }

  const at::Tensor* find(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }
  size_t size() const { return tensors_.size(); }

  // Many indexes have a wrong size. It is no reason to refuse the model.
  void check_size() const {
    if (!index_.total_bytes || *index_.total_bytes == bytes_) return;
    base::log_warning('\'' + path_ + "': total_size is " + std::to_string(*index_.total_bytes) +
                      ", and the tensors have " + std::to_string(bytes_) + " bytes");
  }

 private:
  const ShardIndex& index_;
  const std::string& path_;
  std::unordered_map<std::string, size_t> wanted_;
  std::unordered_map<std::string, at::Tensor> tensors_;
  uint64_t bytes_ = 0;
};

// The tree of a model that is more than tensors by name: write_sharded puts it into the index.
Value read_tree(const std::string& json, const IndexedTensors& tensors, const std::string& path) {
  std::unordered_set<std::string> used;
  Value tree = tree_from_json(json, path, [&](const std::string& name) {
    const at::Tensor* const tensor = tensors.find(name);
    if (tensor == nullptr) {
      throw Error(ErrorCode::kCorrupt,
                  "the tree in the metadata names the tensor " + base::in_quotes(name) +
                      ", which no shard holds",
                  path);
    }
    used.insert(name);
    return *tensor;
  });
  if (used.size() == tensors.size()) return tree;
  throw Error(ErrorCode::kCorrupt, "the tree in the metadata does not name all tensors", path, 0,
              std::string("The program that changed the index must remove the metadata's entry ") +
                  kTreeKey + ".");
}

}  // namespace

ShardedModel::ShardedModel(store::FileSystem& fs, const FoundModel& found)
    : kind_(found.kind), name_(found.path) {
  if (kind_ == FoundModel::Kind::kRankFiles) {
    open_rank_files(fs);
    return;
  }
  for (int i = 0; i < kMostTries; ++i) {
    if (open_shards(fs)) return;
  }
  throw Error(ErrorCode::kIo, "another program replaces these files while they are opened", name_,
              0, "Try again when it has finished.");
}

// Returns false if the index has changed meanwhile.
bool ShardedModel::open_shards(store::FileSystem& fs) {
  const store::File file = store::File::open(fs, name_, store::Links::kFollowed);
  index_ = parse_shard_index(read_index(file), name_);
  files_.clear();
  const std::string directory = store::parent_of(name_);
  try {
    require_all(fs, index_, directory, name_);
    for (const std::string& shard : index_.shards) {
      files_.push_back(
          store::File::open(fs, store::join(directory, shard), store::Links::kFollowed));
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound && !is_still_at(fs, file)) return false;
    throw;
  }
  return is_still_at(fs, file);
}

void ShardedModel::open_rank_files(store::FileSystem& fs) {
  for (const std::string& name : rank_shards_of(store::list_directory(fs, name_), name_)) {
    const std::string path = store::join(name_, name);
    if (!is_file(fs, path)) {
      throw Error(ErrorCode::kNotFound, "the link leads to a file that does not exist", path);
    }
    files_.push_back(store::File::open(fs, path, store::Links::kFollowed));
  }
}

DecodedArchive ShardedModel::decode(const ReadShard& read) const {
  if (kind_ == FoundModel::Kind::kRankFiles) return read_rank_shards(files_, name_);
  const ShardKind& kind = *index_kind(name_);
  ShardAssembly assembly;
  IndexedTensors tensors(index_, name_);
  for (size_t i = 0; i < files_.size(); ++i) {
    const std::string& path = files_[i].name();
    for (const auto& [name, tensor] : assembly.take(read_shard(files_[i], kind, read), i, path)) {
      tensors.add(name, tensor, i, path);
    }
  }
  Dict flat = tensors.take();
  tensors.check_size();
  const auto tree = index_.metadata.find(kTreeKey);
  if (tree != index_.metadata.end()) {
    return assembly.finish(read_tree(tree->second, tensors, name_), {});
  }
  std::map<std::string, std::string> dropped = add_dropped_names(index_.metadata, flat);
  return assembly.finish(std::move(flat), std::move(dropped));
}

}  // namespace checkpoint::format
