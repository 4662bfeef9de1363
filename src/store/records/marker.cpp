#include "store/records/marker.h"

#include "base/json.h"
#include "store/io/file.h"
#include "store/records/manifest.h"
#include "store/records/names.h"

#include <algorithm>

namespace checkpoint::store {
namespace {

constexpr uint64_t kMaxMarkerBytes = 4096;
// A manifest names its format within its first bytes.
constexpr size_t kManifestStart = 256;

// A link counts as a file: some tools store the files elsewhere and leave links.
bool stands(FileSystem& fs, const std::string& directory, const char* file) {
  const mode_t mode = status_of(fs, join(directory, file)).st_mode;
  return mode != 0 && !S_ISDIR(mode);
}

bool has_our_manifest(FileSystem& fs, const std::string& directory) {
  const std::string path = join(directory, kManifestFile);
  if (!S_ISREG(status_of(fs, path).st_mode)) return false;
  const File file = File::open(fs, path);
  std::string start(std::min<uint64_t>(file.size(), kManifestStart), '\0');
  file.read_at(0, start.data(), start.size());
  return start.find("\"torch-checkpoint\"") != std::string::npos;
}

}  // namespace

void write_marker(FileSystem& fs, const std::string& directory, const Marker& marker) {
  const std::string text =
      base::dump_json({{"made_by", "TorchCheckpoint " + marker.library_version},
                       {"run_id", marker.run_id},
                       {"sequence", marker.sequence}},
                      -1) +
      '\n';
  File file = File::create(fs, join(directory, kMarkerFile));
  file.write_at(0, text.data(), text.size());
  file.sync();
  file.close();
}

bool has_marker(FileSystem& fs, const std::string& directory) {
  return S_ISREG(status_of(fs, join(directory, kMarkerFile)).st_mode);
}

bool looks_like_checkpoint(FileSystem& fs, const std::string& directory) {
  if (stands(fs, directory, kMarkerFile)) return true;
  const auto is_there = [&](const char* file) { return stands(fs, directory, file); };
  const bool table = is_there(kTensorTableFile) &&
                     (is_there(kManifestFile) ||
                      std::any_of(std::begin(kContentFiles), std::end(kContentFiles), is_there));
  return table || has_our_manifest(fs, directory);
}

int64_t marked_sequence(FileSystem& fs, const std::string& directory) {
  const std::string path = join(directory, kMarkerFile);
  try {
    const nlohmann::json marker = base::parse_json(read_whole(fs, path, kMaxMarkerBytes), path);
    const int64_t sequence = base::JsonFields(marker, path).integer("sequence");
    return sequence >= 0 && sequence <= kMaxSequence ? sequence : 0;
  } catch (const Error&) {
    return 0;  // The marker may be damaged too.
  }
}

}  // namespace checkpoint::store
