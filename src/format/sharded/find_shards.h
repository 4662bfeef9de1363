#pragma once

#include "store/io/file_system.h"

#include <string>

namespace checkpoint::format {

/// What a path holds of a model that may be in several files.
struct FoundModel {
  enum class Kind {
    kNone,       ///< Neither of these.
    kFile,       ///< One file with the whole model: `path`.
    kIndex,      ///< An index with its shards: `path` is the index.
    kRankFiles,  ///< The directory `path` has files that each rank wrote its shards to.
  };
  Kind kind = Kind::kNone;
  std::string path = {};
};

/// Finds out whether a path is an index, or the directory of a model: as Hugging Face's libraries
/// lay it out, or PyTorch's HuggingFaceStorageWriter. Also finds the index beside a single file
/// that does not exist: that of "model.safetensors" is "model.safetensors.index.json".
///
/// In a directory, safetensors files are preferred to .bin files. Throws Error(invalid_argument) if
/// it cannot be known which of several files is meant; Error(not_found) for shards without an
/// index; io.
FoundModel find_model(store::FileSystem& fs, const std::string& path);

}  // namespace checkpoint::format
