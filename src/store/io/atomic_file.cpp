#include "store/io/atomic_file.h"

#include "base/clock.h"
#include "store/directory/directory.h"
#include "store/io/file_sink.h"

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace checkpoint::store {

namespace {

// A link stays one: what it leads to is replaced.
std::string behind_links(FileSystem& fs, const std::string& path) {
  if (!S_ISLNK(look(fs, path).st_mode)) return path;
  std::error_code failure;
  if (std::filesystem::status(path, failure).type() == std::filesystem::file_type::not_found) {
    return path;  // It leads nowhere.
  }
  // Fails for /dev/stdout where that is a pipe.
  const std::string target = std::filesystem::canonical(path, failure).string();
  if (failure) throw system_failure("follow the link", path, failure.value());
  return target;
}

void check_replaceable(FileSystem& fs, const std::string& path) {
  const mode_t mode = look(fs, path).st_mode;
  if (mode == 0 || S_ISREG(mode) || S_ISLNK(mode)) return;
  throw Error(ErrorCode::kInvalidArgument,
              S_ISDIR(mode) ? "a directory cannot be replaced by a file"
                            : "this is no regular file, and is not replaced",
              path, 0, "Name another file.");
}

}  // namespace

void write_atomically(FileSystem& fs, const std::string& given,
                      const std::function<void(ByteSink&)>& content) {
  const std::string path = behind_links(fs, given);
  check_replaceable(fs, path);
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
