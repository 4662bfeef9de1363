#pragma once

#include <filesystem>
#include <string>
#include <system_error>

#include <unistd.h>

namespace bench {

/// A new folder in `dir`, which is removed with all that is in it.
class Folder {
 public:
  Folder(const std::string& dir, const std::string& name)
      : path_(
            (std::filesystem::absolute(dir) / (name + '-' + std::to_string(::getpid()))).string()) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

}  // namespace bench
