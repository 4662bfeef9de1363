#include "store/verify.h"

#include "store/digest.h"
#include "store/directory.h"
#include "store/names.h"

namespace checkpoint::store {
namespace {

constexpr uint64_t kMaxTableBytes = uint64_t{1} << 30;
constexpr char kHint[] = "Restore an older checkpoint; restore_latest does so by itself.";

void check(const File& file, const FileEntry& expected) {
  const uint64_t size = file.size();
  if (size != expected.bytes) {
    throw Error(ErrorCode::kCorrupt,
                "the file has " + std::to_string(size) + " bytes, and had " +
                    std::to_string(expected.bytes) + " when it was saved",
                file.name(), 0, kHint);
  }
  if (digest_of(file, size) != expected.xxh3_128) {
    throw Error(ErrorCode::kCorrupt, "the file's bytes are not those that were saved", file.name(),
                0, kHint);
  }
}

template <typename Wanted>
VerifiedCheckpoint verify_if(FileSystem& fs, const std::string& path, ReadFrom from,
                             const Wanted& wanted) {
  VerifiedCheckpoint checkpoint;
  checkpoint.path = path;
  if (from == ReadFrom::kDisk) File::open(fs, join(path, kManifestFile)).drop_cache();
  checkpoint.manifest = read_manifest(fs, path);
  for (const FileEntry& expected : checkpoint.manifest.files) {
    if (!wanted(expected.name)) continue;
    File file = File::open(fs, join(path, expected.name));
    if (from == ReadFrom::kDisk) file.drop_cache();
    check(file, expected);
    checkpoint.files.emplace(expected.name, std::move(file));
  }
  return checkpoint;
}

}  // namespace

const File& VerifiedCheckpoint::file(const std::string& name) const {
  const auto found = files.find(name);
  if (found == files.end()) {
    throw Error(ErrorCode::kCorrupt, "the manifest does not name the file " + name, path);
  }
  return found->second;
}

const File& VerifiedCheckpoint::content() const {
  return files.count(kPthFile) != 0 ? file(kPthFile) : file(kArchiveFile);
}

TensorTable VerifiedCheckpoint::tensor_table() const {
  const File& table = file(kTensorTableFile);
  const uint64_t size = table.size();
  if (size > kMaxTableBytes) {
    throw Error(ErrorCode::kCorrupt, "the table of tensors is too large to be right", table.name());
  }
  std::string text(size, '\0');
  table.read_at(0, text.data(), text.size());
  return decode_tensor_table(text, table.name());
}

VerifiedCheckpoint verify_checkpoint(FileSystem& fs, const std::string& path, ReadFrom from) {
  return verify_if(fs, path, from, [](const std::string&) { return true; });
}

VerifiedCheckpoint verify_files(FileSystem& fs, const std::string& path,
                                const std::set<std::string>& names) {
  return verify_if(fs, path, ReadFrom::kCache,
                   [&](const std::string& name) { return names.count(name) != 0; });
}

bool is_damaged_on_disk(FileSystem& fs, const std::string& path) noexcept {
  try {
    verify_checkpoint(fs, path, ReadFrom::kDisk);
    return false;
  } catch (const Error& error) {
    return error.code() == ErrorCode::kCorrupt;
  } catch (...) {
    return false;
  }
}

}  // namespace checkpoint::store
