// A file is replaced in one step:
//
//   1. Write all of it to a hidden file beside it, fsync.
//   2. Rename that one over it.
//   3. fsync the directory.
//
// A failure before 2 removes the hidden file and leaves the older one alone. A crash leaves the
// hidden file behind.

#include <checkpoint/error.h>
#include <checkpoint/script.h>

#include "store/byte_sink.h"
#include "store/clock.h"
#include "store/file.h"

#include <torch/csrc/jit/serialization/export.h>
#include <torch/script.h>

#include <sys/stat.h>

#include <cerrno>
#include <exception>
#include <filesystem>

namespace checkpoint {
namespace {

void write_script(const torch::jit::Module& module, store::ByteSink& sink) {
  std::exception_ptr failure;
  try {
    // A callback that reports a failure makes LibTorch's writer throw from its destructor, which
    // ends the process. So it never does: the first failure is kept, the rest is dropped.
    torch::jit::ExportModule(module, [&](const void* data, size_t count) {
      if (!failure) {
        try {
          sink.write(data, count);
        } catch (...) {
          failure = std::current_exception();
        }
      }
      return count;
    });
  } catch (const std::exception& error) {
    if (!failure) {
      throw Error(ErrorCode::kUnsupported,
                  std::string("LibTorch cannot save this module: ") + error.what());
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

void save_script(const torch::jit::Module& module, const std::string& path) {
  store::FileSystem& fs = store::posix_file_system();
  const std::filesystem::path target(path);
  const std::string directory = target.has_parent_path() ? target.parent_path().string() : ".";
  const std::string hidden =
      store::join(directory, '.' + target.filename().string() + '-' + store::random_id());
  try {
    store::FileSink sink(fs, hidden);
    write_script(module, sink);
    sink.finish(hidden);
    if (fs.rename(hidden.c_str(), path.c_str()) != 0) {
      throw store::system_failure("rename the finished file to its name", path, errno);
    }
  } catch (...) {
    fs.unlink(hidden.c_str());
    throw;
  }
  store::sync_directory(fs, directory);
}

torch::jit::Module load_script(const std::string& path, std::optional<c10::Device> device) {
  // LibTorch's own words for a missing file are those for a damaged one.
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) throw store::system_failure("open the file", path, errno);
  try {
    return device ? torch::jit::load(path, *device) : torch::jit::load(path);
  } catch (const c10::Error& error) {
    throw Error(ErrorCode::kIncompatible,
                std::string("LibTorch cannot load this file as a TorchScript module: ") +
                    error.what_without_backtrace(),
                path);
  } catch (const std::exception& error) {
    throw Error(
        ErrorCode::kIncompatible,
        std::string("LibTorch cannot load this file as a TorchScript module: ") + error.what(),
        path);
  }
}

}  // namespace checkpoint
