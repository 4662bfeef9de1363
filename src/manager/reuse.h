#pragma once

#include "base/meter.h"
#include "manager/last_checkpoint.h"
#include "state/share/unchanged.h"
#include "state/snapshot/capture.h"
#include "store/directory/staging.h"
#include "store/io/chunk_pool.h"
#include "store/records/tensor_table.h"

#include <checkpoint/format.h>
#include <checkpoint/manifest.h>
#include <checkpoint/value.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace checkpoint::manager {

/// What one save takes over from the last checkpoint, and what the next one may take over from it.
/// The comment at the top of reuse.cpp lists the steps. Not thread-safe.
class Reuse {
 public:
  /// All must outlive this. `last` is null without reuse_unchanged: then nothing below does
  /// anything. `name` is that of the new checkpoint.
  Reuse(const store::Directory& directory, const state::Capture& captured, LastCheckpoint* last,
        std::string name);

  /// Step 1. Never throws an Error.
  void compare();
  /// Step 2. If a link fails, everything is written.
  void link(const store::Staging& staging);
  /// Step 3. Throws what Staging::write_file and the encoder throw.
  void write_settled(const store::Staging& staging, Format format, base::Meter& meter,
                     store::ChunkPool& pool);

  /// Returns whether the tree of the content file has stubs.
  bool has_stubs() const { return !unchanged_.kinds.empty(); }
  /// Returns the tree of the content file.
  Value tree() const { return state::with_stubs(captured_.tree, unchanged_); }
  /// The size and the number of the tensors that are not written.
  uint64_t linked_bytes() const { return unchanged_.linked_bytes; }
  uint64_t linked_count() const { return unchanged_.linked_count; }
  /// The size of the tensors in the content file.
  uint64_t content_bytes() const {
    return captured_.tensor_bytes - unchanged_.linked_bytes - unchanged_.settled_bytes;
  }

  /// Replaces the rows of stubs by those of the tensors. `rows` has one for each tensor of the
  /// tree.
  void fill_in(std::vector<store::TensorEntry>& rows) const;
  /// Adds the files of unchanged tensors to the manifest, and sets its version.
  void add_files(Manifest& manifest) const;
  /// Returns how many bytes the linked files have.
  uint64_t bytes_of_linked_files() const;

  /// Steps 4 and 5: before the commit and after it.
  void know_own(const store::Staging& staging, const FileEntry& content,
                std::vector<store::TensorEntry> rows);
  void note_committed();

 private:
  std::string link_one(const store::Staging& staging, const std::string& file);

  const store::Directory& directory_;
  const state::Capture& captured_;
  LastCheckpoint* const last_;
  const std::string name_;
  const KnownCheckpoint* earlier_ = nullptr;
  state::Unchanged unchanged_;
  std::vector<store::KnownFile> linked_;  // Under their names in this checkpoint.
  std::optional<FileEntry> settled_;      // The file of what has settled.
  std::unique_ptr<KnownCheckpoint> own_;
};

}  // namespace checkpoint::manager
