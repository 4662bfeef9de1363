#include <checkpoint/error.h>
#include <checkpoint/script.h>

#include "format/torch/writer_guard.h"
#include "format/tree/dense.h"
#include "store/io/atomic_file.h"
#include "store/io/file.h"

#include <torch/csrc/jit/serialization/export.h>
#include <torch/script.h>

#include <sys/stat.h>

#include <cerrno>

namespace checkpoint {
namespace {

// LibTorch would read memory that does not exist, and the process would end.
void check_memory(const torch::jit::Module& module) {
  for (const auto& attribute : module.named_attributes()) {
    if (attribute.value.isObject()) continue;  // named_attributes lists its attributes too.
    attribute.value.visit([&](const c10::IValue& part) {
      if (!part.isTensor()) return false;
      const std::string missing = format::missing_memory(part.toTensor());
      if (missing.empty()) return false;
      throw Error(ErrorCode::kUnsupported,
                  "the tensor '" + attribute.name + "' cannot be saved: it is " + missing, "", 0,
                  "Give it memory first.");
    });
  }
}

}  // namespace

void save_script(const torch::jit::Module& module, const std::string& path) {
  check_memory(module);
  store::write_atomically(store::posix_file_system(), path, [&](store::ByteSink& sink) {
    format::WriterGuard guard([&](const void* data, size_t count) { sink.write(data, count); });
    guard.run("this module", [&] { torch::jit::ExportModule(module, guard.callback()); });
  });
}

torch::jit::Module load_script(const std::string& path, std::optional<c10::Device> device) {
  // LibTorch reports a missing file as a damaged one.
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
