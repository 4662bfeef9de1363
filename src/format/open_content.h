#pragma once

#include "format/dcp/directory.h"
#include "format/decode/decoded.h"
#include "format/sharded/sharded_model.h"
#include "store/directory/verify.h"
#include "store/io/file.h"

#include <checkpoint/transfer.h>
#include <checkpoint/verify.h>

#include <optional>
#include <string>
#include <vector>

namespace checkpoint::format {

/// The files that hold the tensors and values at a path. The path is a file of any format, the
/// directory of a checkpoint, one of PyTorch's Distributed Checkpoint, or a model in several files:
/// its index or directory. The files stay readable if retention removes the checkpoint.
class OpenContent {
 public:
  /// `verify` and `read_once` apply to checkpoints only: other files have no digest. Throws Error:
  /// not_found, io; for checkpoints also corrupt, incompatible, and what `on_transfer` throws; for
  /// a model in several files what find_model and ShardedModel throw.
  explicit OpenContent(const std::string& path, Verify verify = Verify::kBefore,
                       const OnTransfer& on_transfer = {}, bool read_once = false);

  /// One for each rank that wrote them, and those of unchanged tensors; each shard of a model; in a
  /// distributed checkpoint, any number. They live as long as this.
  std::vector<store::ContentFile> files() const;
  /// The first of them, as a file that can be mapped. Of a distributed checkpoint with several
  /// files, or none: its index.
  const store::File& file() const;
  /// The path for errors that concern all of the files: the first file's, or that of the index.
  const std::string& name() const;
  /// Whether this is one file, and not a checkpoint.
  bool is_single_file() const { return file_.has_value(); }
  /// Whether this is a directory of PyTorch's Distributed Checkpoint.
  bool is_distributed() const { return dcp_.has_value(); }
  /// The model, if it is in several files; null otherwise.
  const ShardedModel* sharded() const { return sharded_ ? &*sharded_ : nullptr; }
  /// Decodes them. A checkpoint of several files is read as rank 0 sees it. Throws what read_file
  /// and read_rank_files throw.
  DecodedArchive decode() const;

 private:
  bool open_model(store::FileSystem& fs, const std::string& path);

  const Verify verify_;
  std::optional<store::File> file_;
  std::optional<store::VerifiedCheckpoint> checkpoint_;
  std::optional<ShardedModel> sharded_;
  std::optional<dcp::Directory> dcp_;
};

}  // namespace checkpoint::format
