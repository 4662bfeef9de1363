#include "store/atomic_file.h"

#include "store/clock.h"
#include "store/directory.h"
#include "store/file_sink.h"

#include <cerrno>

namespace checkpoint::store {

void write_atomically(FileSystem& fs, const std::string& path,
                      const std::function<void(ByteSink&)>& content) {
  const std::string parent = parent_of(path);
  create_with_parents(fs, parent);
  const std::string hidden = join(parent, ".writing-" + random_id());
  try {
    FileSink sink(fs, hidden);
    content(sink);
    sink.finish(hidden);
    if (fs.rename(hidden.c_str(), path.c_str()) != 0) {
      throw system_failure("rename the finished file to its name", path, errno);
    }
  } catch (...) {
    fs.unlink(hidden.c_str());
    throw;
  }
  sync_directory(fs, parent);
}

}  // namespace checkpoint::store
