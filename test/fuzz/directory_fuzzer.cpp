// Any tree of files as a directory of checkpoints, in memory. The input is a row of paths and
// contents, each ended by a NUL; a content's first byte says what it is:
//
//   F  a file         M  a manifest, to which the right digest is added
//   L  a link         V  the same, with the sizes and digests of the files beside it
//
// Whatever stands there: looking throws nothing but errors of this library, checkpoints that are
// retired or swept leave the rest alone, and nothing outside the directory changes.

#include "fuzz/fuzzing.h"

#include "store/directory/directory.h"
#include "store/directory/retire.h"
#include "store/directory/verify.h"
#include "store/io/file.h"
#include "store/io/segments.h"
#include "store/records/manifest.h"
#include "store/records/names.h"
#include "support/memory_file_system.h"

#include <spdlog/spdlog.h>

#include <vector>

using namespace checkpoint::store;

namespace {

constexpr char kRoot[] = "/runs";
constexpr char kOutside[] = "/outside/file";
constexpr size_t kMaxEntries = 40;

std::vector<std::string> split(const uint8_t* data, size_t size) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < size && parts.size() <= 2 * kMaxEntries; ++i) {
    if (data[i] == 0) {
      parts.emplace_back();
    } else {
      parts.back() += static_cast<char>(data[i]);
    }
  }
  return parts;
}

bool leads_outside(const std::string& path) { return path.find("..") != std::string::npos; }

// With the files beside it as they are, so that it verifies.
std::string with_digests(test::MemoryFileSystem& fs, const std::string& folder,
                         const std::string& text) {
  checkpoint::Manifest manifest = decode_manifest(text, folder);
  for (checkpoint::FileEntry& entry : manifest.files) {
    const std::string path = join(folder, entry.name);
    if (!S_ISREG(status_of(fs, path).st_mode)) continue;
    const File file = File::open(fs, path);
    entry.bytes = file.size();
    entry.xxh3_128 = digest_of(file, entry.bytes);
  }
  return encode_manifest(manifest);
}

void put(test::MemoryFileSystem& fs, const std::string& path, const std::string& content) {
  if (content.empty() || leads_outside(path)) return;
  const std::string whole = std::string(kRoot) + '/' + path;
  const std::string rest = content.substr(1);
  if (content[0] == 'L') {
    fs.symlink(rest.c_str(), whole.c_str());
  } else if (content[0] == 'M') {
    fs.put(whole, test::sealed(rest));
  } else if (content[0] == 'V') {
    fs.put(whole, with_digests(fs, parent_of(whole), test::sealed(rest)));
  } else {
    fs.put(whole, rest);
  }
}

// All that the library does with a directory whose content it did not write itself.
void use(test::MemoryFileSystem& fs) {
  const Directory directory(fs, kRoot);
  std::vector<FoundCheckpoint> found;
  test::allow_errors([&] { found = directory.scan(); });
  test::allow_errors([&] { directory.set_aside_names(); });
  test::allow_errors([&] {
    const int64_t next = directory.highest_sequence(directory.scan()) + 1;
    for (const FoundCheckpoint& checkpoint : found) {
      if (checkpoint.sequence >= next) std::abort();
    }
  });
  test::allow_errors([&] { directory.point_link("latest", "name"); });
  for (const FoundCheckpoint& checkpoint : found) {
    if (!is_checkpoint_name(checkpoint.name)) std::abort();
    test::allow_errors([&] { verify_checkpoint(fs, checkpoint.path).tensor_table(); });
    is_damaged_on_disk(directory, checkpoint.name);
    test::allow_errors([&] { directory.set_aside(directory.free_name(checkpoint.name)); });
    test::allow_errors([&] { retire(directory, checkpoint.name); });
  }
  test::allow_errors([&] { sweep(directory); });
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  spdlog::set_level(spdlog::level::off);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  test::MemoryFileSystem fs;
  fs.put(kOutside, "theirs");
  fs.put(std::string(kRoot) + "/notes", "theirs");
  const std::vector<std::string> parts = split(data, size);
  for (size_t i = 0; i + 1 < parts.size(); i += 2) {
    try {
      put(fs, parts[i], parts[i + 1]);
    } catch (const std::exception&) {
      continue;  // No such path can be: the next one.
    }
  }
  use(fs);
  if (fs.content(kOutside) != "theirs") std::abort();
  return 0;
}
