// A coordinator of a directory: each key is a file with the value in it.
//
// A value appears whole, because its file is renamed to its name. Nothing is synced: after a crash
// of the machine the training has ended, and the next one uses new keys. NFS remembers for a while
// that a file did not exist. Listing the directory ends that.

#include <checkpoint/coordinator.h>
#include <checkpoint/error.h>

#include "base/clock.h"
#include "store/io/file.h"
#include "store/io/file_system.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>
#include <vector>

namespace checkpoint {
namespace {

constexpr uint64_t kMaxValueBytes = uint64_t{1} << 30;
constexpr char kTemporaryPrefix[] = ".put-";

// Keys may have slashes, which a file name cannot have.
std::string file_name(const std::string& key) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string name;
  for (const char c : key) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (is_plain) {
      name += c;
    } else if (c == '/') {
      name += '.';
    } else {
      const auto byte = static_cast<unsigned char>(c);
      name += {'%', kDigits[byte / 16], kDigits[byte % 16]};
    }
  }
  // Never a hidden name: those are unfinished values.
  return "key-" + name;
}

class DirectoryCoordinator final : public Coordinator {
 public:
  DirectoryCoordinator(store::FileSystem& fs, std::string directory, int rank, int size)
      : fs_(fs), directory_(std::move(directory)), rank_(rank), size_(size) {
    store::create_with_parents(fs_, directory_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void put(const std::string& key, const std::string& value) override {
    const std::string temporary =
        store::join(directory_, kTemporaryPrefix + std::to_string(rank_) + '-' + base::random_id());
    const std::string path = path_of(key);
    store::File file = store::File::create(fs_, temporary);
    try {
      file.write_at(0, value.data(), value.size());
      file.close();
      if (fs_.rename(temporary.c_str(), path.c_str()) != 0) {
        throw store::system_failure("put the value", path, errno);
      }
    } catch (...) {
      fs_.unlink(temporary.c_str());
      throw;
    }
  }

  std::optional<std::string> try_get(const std::string& key) override {
    std::optional<std::string> value = read(path_of(key));
    if (value) return value;
    const std::vector<std::string> names = store::list_directory(fs_, directory_);
    const bool is_listed = std::find(names.begin(), names.end(), file_name(key)) != names.end();
    return is_listed ? read(path_of(key)) : std::nullopt;
  }

  void erase(const std::string& key) override {
    const std::string path = path_of(key);
    if (fs_.unlink(path.c_str()) != 0 && errno != ENOENT) {
      throw store::system_failure("erase the value", path, errno);
    }
  }

 private:
  std::string path_of(const std::string& key) const {
    return store::join(directory_, file_name(key));
  }

  std::optional<std::string> read(const std::string& path) const {
    try {
      return store::read_whole(fs_, path, kMaxValueBytes);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kNotFound) return std::nullopt;
      throw;
    }
  }

  store::FileSystem& fs_;
  const std::string directory_;
  const int rank_;
  const int size_;
};

}  // namespace

Coordinator::~Coordinator() = default;

std::shared_ptr<Coordinator> directory_coordinator(std::string directory, int rank, int size) {
  if (rank < 0 || rank >= size) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "the rank " + std::to_string(rank) + " does not fit a size of " + std::to_string(size),
        std::move(directory));
  }
  return std::make_shared<DirectoryCoordinator>(store::posix_file_system(), std::move(directory),
                                                rank, size);
}

}  // namespace checkpoint
