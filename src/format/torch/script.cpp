#include <checkpoint/error.h>
#include <checkpoint/script.h>

#include "format/torch/fail_safe.h"
#include "store/io/atomic_file.h"
#include "store/io/file.h"

#include <torch/csrc/jit/serialization/export.h>
#include <torch/script.h>

#include <sys/stat.h>

#include <cerrno>

namespace checkpoint {

void save_script(const torch::jit::Module& module, const std::string& path) {
  store::write_atomically(store::posix_file_system(), path, [&](store::ByteSink& sink) {
    format::FailSafe sinking([&](const void* data, size_t count) { sink.write(data, count); });
    sinking.run("this module", [&] { torch::jit::ExportModule(module, sinking.callback()); });
  });
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
