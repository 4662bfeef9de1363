#pragma once

#include "state/share/unchanged.h"
#include "store/directory/directory.h"
#include "store/directory/known_file.h"
#include "store/records/tensor_table.h"

#include <checkpoint/error.h>
#include <checkpoint/manifest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace checkpoint::manager {

/// A checkpoint whose bytes this process knows to be right.
struct KnownCheckpoint {
  KnownCheckpoint(std::string path, std::vector<store::KnownFile> files,
                  std::vector<store::TensorEntry> rows)
      : path(std::move(path)), files(std::move(files)), tensors(std::move(rows)) {}

  const std::string path;
  const std::vector<store::KnownFile> files;  ///< Those that hold tensors.
  const state::EarlierTensors tensors;
};

/// The checkpoint that a manager has saved or verified last, of which the next save may link files
/// (reuse_unchanged). Nothing else is trusted: what lies in the directory may be damaged. One call
/// at a time, but for `doubt` and `doubt_after`, which are thread-safe.
class LastCheckpoint {
 public:
  /// `directory` must outlive this.
  explicit LastCheckpoint(const store::Directory& directory) : directory_(directory) {}

  /// Notes a checkpoint that was just saved.
  void note_saved(std::unique_ptr<KnownCheckpoint> saved);
  /// Notes a checkpoint that was just restored, and whose digests were all right. Reads nothing
  /// yet.
  void note_verified(const Manifest& manifest);
  /// The next save writes everything.
  void doubt() noexcept { doubted_ = true; }
  /// The same, if a failure to read some checkpoint speaks of damage: the last one may share its
  /// bytes.
  void doubt_after(const Error& error) noexcept;

  /// Returns the last checkpoint. Null if there is none that can be trusted: then everything must
  /// be written. Reads the table of a checkpoint that was restored. Lives until the next call.
  const KnownCheckpoint* get();
  /// Logs that everything is written, as a warning the first time.
  void warn_of(const std::exception& error, const std::string& name);

 private:
  std::unique_ptr<KnownCheckpoint> read(const std::string& name, const std::string& identity) const;

  const store::Directory& directory_;
  std::atomic<bool> doubted_ = false;
  bool warned_ = false;
  std::unique_ptr<KnownCheckpoint> known_;
  std::string verified_;  // The name of one that was restored, and is not read yet.
  std::string identity_;
};

}  // namespace checkpoint::manager
