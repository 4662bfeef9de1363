// How a save does not write again what has not changed:
//
//   1. Compare the digests of all tensors with those of the last checkpoint, as far as this process
//      knows its bytes to be right (last_checkpoint.h).
//   2. Link the files that hold unchanged tensors into the staging directory, each under a name of
//      its own. Each must be the very file that is known, and is synced (staging.h). If anything
//      fails, remove these links again, and go on as if nothing were unchanged.
//   3. Write the tensors that have settled (unchanged.h) into a file of their own. Then the caller
//      writes the content file, with stubs for all of these.
//   4. Note which files this checkpoint has.
//   5. After the commit, this is the last checkpoint.
//
// A process that dies in between leaves the staging directory, which a sweep removes with the links
// in it. The files themselves are never changed, and stay under their other names. Retention
// removes names alone: a file is gone when no checkpoint has it.

#include "manager/reuse.h"

#include "base/clock.h"
#include "base/log.h"
#include "manager/encode.h"
#include "store/io/file.h"
#include "store/records/manifest.h"
#include "store/records/names.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <map>
#include <utility>

namespace checkpoint::manager {
namespace {

using Kind = state::Unchanged::Kind;

// The dict in a file of settled tensors, as in the files of ranks.
constexpr char kSettledName[] = "tensors";

}  // namespace

Reuse::Reuse(const store::Directory& directory, const state::Capture& captured,
             LastCheckpoint* last, std::string name)
    : directory_(directory), captured_(captured), last_(last), name_(std::move(name)) {}

void Reuse::compare() {
  earlier_ = last_ != nullptr ? last_->get() : nullptr;
  if (earlier_ == nullptr) return;
  std::vector<FileEntry> files;
  for (const store::KnownFile& file : earlier_->files) files.push_back(file.entry);
  unchanged_ = state::find_unchanged(captured_, earlier_->tensors, files);
}

void Reuse::link(const store::Staging& staging) {
  try {
    std::map<std::string, std::string> names;  // Here, by those in the last checkpoint.
    for (const std::string& file : unchanged_.files) names[file] = link_one(staging, file);
    for (size_t i = 0; i < unchanged_.rows.size(); ++i) {
      std::string& file = unchanged_.rows[i].file;
      if (unchanged_.kinds[i] == Kind::kLinked) file = names.at(file);
    }
  } catch (const Error& error) {
    last_->warn_of(error, name_);
    for (const store::KnownFile& file : linked_) staging.remove_file(file.entry.name);
    linked_.clear();
    unchanged_ = {};
  }
}

std::string Reuse::link_one(const store::Staging& staging, const std::string& file) {
  const auto known =
      std::find_if(earlier_->files.begin(), earlier_->files.end(),
                   [&](const store::KnownFile& candidate) { return candidate.entry.name == file; });
  const std::string name = store::is_unchanged_file(file)
                               ? file
                               : store::unchanged_file(store::format_of(file), base::random_id());
  store::KnownFile here = *known;
  here.entry = staging.link_file(store::join(earlier_->path, file), *known, name);
  linked_.push_back(std::move(here));
  return name;
}

void Reuse::write_settled(const store::Staging& staging, Format format, base::Meter& meter,
                          store::ChunkPool& pool) {
  if (unchanged_.settled_bytes == 0) return;
  state::Settled settled = state::settled_tensors(captured_.tree, unchanged_);
  const Value tree = Dict{{kSettledName, std::move(settled.tensors)}};
  std::vector<store::TensorEntry> written;
  format::ArchivePlan plan;
  settled_ = staging.write_file(
      store::unchanged_file(format, base::random_id()),
      [&](store::ByteSink& sink) { written = encode(tree, {kSettledName}, format, sink, plan); },
      {unchanged_.settled_bytes, &meter, &pool});
  for (size_t i = 0; i < settled.index.size(); ++i) {
    if (!settled.index[i]) continue;
    unchanged_.rows[i].file = settled_->name;
    unchanged_.rows[i].offset = written.at(*settled.index[i]).offset;
  }
}

void Reuse::fill_in(std::vector<store::TensorEntry>& rows) const {
  for (size_t i = 0; i < unchanged_.kinds.size(); ++i) {
    if (unchanged_.kinds[i] != Kind::kChanged) rows.at(i) = unchanged_.rows[i];
  }
}

void Reuse::add_files(Manifest& manifest) const {
  for (const store::KnownFile& file : linked_) manifest.files.push_back(file.entry);
  if (settled_) manifest.files.push_back(*settled_);
  if (has_stubs()) manifest.format_version = store::kFormatVersionOfUnchanged;
}

uint64_t Reuse::bytes_of_linked_files() const {
  uint64_t bytes = 0;
  for (const store::KnownFile& file : linked_) bytes += file.entry.bytes;
  return bytes;
}

void Reuse::know_own(const store::Staging& staging, const FileEntry& content,
                     std::vector<store::TensorEntry> rows) {
  if (last_ == nullptr) return;
  try {
    std::vector<FileEntry> written = {content};
    if (settled_) written.push_back(*settled_);
    std::vector<store::KnownFile> files = linked_;
    for (FileEntry& file : written) {
      const std::string path = store::join(staging.path(), file.name);
      files.push_back(store::know_file(directory_.fs(), path, std::move(file)));
    }
    own_ = std::make_unique<KnownCheckpoint>(directory_.path_of(name_), std::move(files),
                                             std::move(rows));
  } catch (const Error& error) {
    base::log_info("the checkpoint after '" + name_ + "' is written whole: " + error.what());
  }
}

void Reuse::note_committed() {
  if (last_ != nullptr) last_->note_saved(std::move(own_));
}

}  // namespace checkpoint::manager
