// Opens a checkpoint and compares its files with the manifest:
//
//   1. Read the manifest, which has a digest of its own.
//   2. For each file: open it, and compare its size. This is cheap and finds truncated files.
//   3. Compare its digest, if the caller wants that now. A restore can also do it while reading.
//
// The files stay open, so that they can still be read while retention removes the checkpoint.

#include "store/directory/verify.h"

#include "base/meter.h"
#include "store/directory/directory.h"
#include "store/io/segments.h"
#include "store/records/manifest.h"
#include "store/records/names.h"

#include <filesystem>
#include <system_error>

namespace checkpoint::store {
namespace {

constexpr uint64_t kMaxTableBytes = uint64_t{1} << 30;
constexpr char kHint[] = "Restore an older checkpoint; restore_latest does so automatically.";

void check_size(const File& file, const FileEntry& expected) {
  const uint64_t size = file.size();
  if (size == expected.bytes) return;
  throw Error(ErrorCode::kCorrupt,
              "the file has " + std::to_string(size) + " bytes, but had " +
                  std::to_string(expected.bytes) + " when it was saved",
              file.name(), 0, kHint);
}

[[noreturn]] void throw_no_such_file(const VerifiedCheckpoint& checkpoint,
                                     const std::string& name) {
  throw Error(ErrorCode::kCorrupt, "the manifest does not name the file '" + name + "'",
              checkpoint.path);
}

// What the caller does next with the files that hold tensors.
enum class Next {
  kNothing,
  kReadAgain,  // From the page cache, if they are in it by then.
  kReadKept,   // From memory, as far as there is enough.
};

// Returns the digest of an open file, read in the way that suits what follows. Adds to `kept` what
// keeps its bytes.
std::string digest_before(Next next, const File& file, const FileEntry& expected,
                          std::map<std::string, std::unique_ptr<KeptBytes>>& kept,
                          base::Meter& meter) {
  if (next == Next::kNothing) return digest_of(file, expected.bytes, &meter);
  if (next == Next::kReadAgain) return digest_first(file, expected.bytes, &meter);
  auto& own = kept[expected.name];
  own = std::make_unique<KeptBytes>(file);
  return digest_keeping(*own, expected.bytes, &meter);
}

// Opens the files for which `wanted` is true. Checks the digests of those for which `digested` is
// true.
template <typename Wanted, typename Digested>
VerifiedCheckpoint open(FileSystem& fs, const std::string& path, ReadFrom from,
                        const Wanted& wanted, const Digested& digested, Next next,
                        const OnTransfer& on_transfer) {
  VerifiedCheckpoint checkpoint;
  checkpoint.path = path;
  if (from == ReadFrom::kDisk) File::open(fs, join(path, kManifestFile)).drop_cache();
  checkpoint.manifest = read_manifest(fs, path);
  base::Meter meter(on_transfer, Phase::kVerify, checkpoint.manifest.total_bytes());
  for (const FileEntry& expected : checkpoint.manifest.files) {
    if (!wanted(expected.name)) continue;
    File file = File::open(fs, join(path, expected.name));
    if (from == ReadFrom::kDisk) file.drop_cache();
    check_size(file, expected);
    const File& placed = checkpoint.files.emplace(expected.name, std::move(file)).first->second;
    if (!digested(expected.name)) continue;
    const Next then = holds_tensors(expected.name) ? next : Next::kNothing;
    check_digest(expected, digest_before(then, placed, expected, checkpoint.kept, meter),
                 placed.name());
  }
  return checkpoint;
}

bool any(const std::string&) { return true; }

// Sets the name to `name`: the directory may have been renamed after the save.
VerifiedCheckpoint named(VerifiedCheckpoint checkpoint, const std::string& name) {
  checkpoint.manifest.name = name;
  return checkpoint;
}

}  // namespace

void check_digest(const FileEntry& expected, const std::string& digest, const std::string& path) {
  if (digest == expected.xxh3_128) return;
  throw Error(ErrorCode::kCorrupt, "digest mismatch: the file's content is not what was saved",
              path, 0, kHint);
}

const File& VerifiedCheckpoint::file(const std::string& name) const {
  const auto found = files.find(name);
  if (found == files.end()) throw_no_such_file(*this, name);
  return found->second;
}

std::vector<const FileEntry*> VerifiedCheckpoint::content_entries() const {
  std::vector<const FileEntry*> entries;
  for (const FileEntry& entry : manifest.files) {
    if (is_content_file(entry.name)) entries.push_back(&entry);
  }
  for (const FileEntry& entry : manifest.files) {
    if (is_unchanged_file(entry.name)) entries.push_back(&entry);
  }
  if (entries.empty() || !is_content_file(entries.front()->name))
    throw_no_such_file(*this, kArchiveFile);
  return entries;
}

std::vector<ContentFile> VerifiedCheckpoint::contents(Verify verify) const {
  std::vector<ContentFile> contents;
  for (const FileEntry* entry : content_entries()) {
    const auto found = kept.find(entry->name);
    const ByteSource* source = &file(entry->name);
    if (found != kept.end()) source = found->second.get();
    contents.push_back({source, verify == Verify::kWhileReading ? entry : nullptr});
  }
  return contents;
}

std::string VerifiedCheckpoint::tensor_table_text() const {
  const File& table = file(kTensorTableFile);
  const uint64_t size = table.size();
  if (size > kMaxTableBytes) {
    throw Error(ErrorCode::kCorrupt, "the table of tensors is too large: more than 1 GiB",
                table.name());
  }
  std::string text(size, '\0');
  table.read_at(0, text.data(), text.size());
  return text;
}

TensorTable VerifiedCheckpoint::tensor_table() const {
  return decode_tensor_table(tensor_table_text(), file(kTensorTableFile).name());
}

VerifiedCheckpoint verify_checkpoint(FileSystem& fs, const std::string& path, ReadFrom from,
                                     const OnTransfer& on_transfer) {
  return open(fs, path, from, any, any, Next::kNothing, on_transfer);
}

namespace {

VerifiedCheckpoint open_share(FileSystem& fs, const std::string& path, Verify verify,
                              const OnTransfer& on_transfer, VerifyShare share, bool read_once) {
  size_t contents = 0;
  const auto digested = [&](const std::string& name) {
    if (!holds_tensors(name)) return verify != Verify::kNever;
    return contents++ % share.ranks == share.rank && verify == Verify::kBefore;
  };
  const Next next = read_once ? Next::kReadKept : Next::kReadAgain;
  return open(fs, path, ReadFrom::kCache, any, digested, next, on_transfer);
}

}  // namespace

VerifiedCheckpoint open_checkpoint(FileSystem& fs, const std::string& path, Verify verify,
                                   const OnTransfer& on_transfer, bool read_once) {
  return open_share(fs, path, verify, on_transfer, {}, read_once);
}

VerifiedCheckpoint verify_files(FileSystem& fs, const std::string& path,
                                const std::set<std::string>& names) {
  const auto named = [&](const std::string& name) { return names.count(name) != 0; };
  return open(fs, path, ReadFrom::kCache, named, any, Next::kNothing, {});
}

VerifiedCheckpoint verify_checkpoint(const Directory& directory, const std::string& name,
                                     ReadFrom from) {
  return named(verify_checkpoint(directory.fs(), directory.path_of(name), from), name);
}

VerifiedCheckpoint open_checkpoint(const Directory& directory, const std::string& name,
                                   Verify verify, const OnTransfer& on_transfer, VerifyShare share,
                                   bool read_once) {
  return named(
      open_share(directory.fs(), directory.path_of(name), verify, on_transfer, share, read_once),
      name);
}

std::string name_at(const std::string& path) {
  std::error_code failure;
  const std::filesystem::path real = std::filesystem::canonical(path, failure);
  return (failure ? std::filesystem::path(path) : real).filename();
}

bool is_damaged_on_disk(const Directory& directory, const std::string& name) noexcept {
  try {
    verify_checkpoint(directory, name, ReadFrom::kDisk);
    return false;
  } catch (const Error& error) {
    return error.code() == ErrorCode::kCorrupt;
  } catch (...) {
    return false;
  }
}

}  // namespace checkpoint::store
