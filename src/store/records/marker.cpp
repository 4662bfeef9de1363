#include "store/records/marker.h"

#include "store/io/file.h"
#include "base/json.h"
#include "store/records/manifest.h"
#include "store/records/names.h"

namespace checkpoint::store {
namespace {
constexpr uint64_t kMaxMarkerBytes = 4096;
}

void write_marker(FileSystem& fs, const std::string& directory, const Marker& marker) {
  const std::string text = dump_json({{"made_by", "TorchCheckpoint " + marker.library_version},
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
  return S_ISREG(look(fs, join(directory, kMarkerFile)).st_mode);
}

int64_t marked_sequence(FileSystem& fs, const std::string& directory) {
  const std::string path = join(directory, kMarkerFile);
  try {
    const nlohmann::json marker = parse_json(read_whole(fs, path, kMaxMarkerBytes), path);
    const int64_t sequence = JsonFields(marker, path).integer("sequence");
    return sequence >= 0 && sequence <= kMaxSequence ? sequence : 0;
  } catch (const Error&) {
    return 0;  // It is a help for damaged checkpoints, and may be damaged itself.
  }
}

}  // namespace checkpoint::store
