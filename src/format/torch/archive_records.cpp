// Encodes an archive as LibTorch's OutputArchive::save_to does (in
// torch/csrc/jit/serialization/export_module.cpp). LibTorch then computes the CRC-32 of all tensors
// on one core. Here, the sink does that with several.

#include "format/torch/archive_records.h"

#include "format/torch/archive_pickler.h"
#include "format/torch/memory_archive.h"

#include <checkpoint/error.h>

#include <torch/csrc/jit/serialization/python_print.h>

#include <algorithm>
#include <utility>

namespace checkpoint::format {
namespace {

// "__torch__.___torch_mangle_0" to "code/__torch__/___torch_mangle_0.py".
std::string path_of(std::string qualifier) {
  std::replace(qualifier.begin(), qualifier.end(), '.', '/');
  return "code/" + qualifier + ".py";
}

void print(const torch::jit::Module& module, ArchiveRecords& records) {
  torch::jit::ExtraFilesMap sources;
  std::vector<c10::IValue> constants;
  torch::jit::jitModuleToPythonCodeAndConstants(module, &sources, &constants);
  // Only methods have constants, and an archive has none.
  if (!constants.empty()) throw Error(ErrorCode::kUnsupported, "the archive has TorchScript code");
  for (auto& [qualifier, source] : sources) {
    records.sources.emplace(path_of(qualifier), std::move(source));
  }
}

}  // namespace

ArchiveRecords records_of(const torch::serialize::OutputArchive& archive) {
  ArchiveRecords records;
  const torch::jit::Module& module = module_of(archive);
  PickledModule pickled = pickle_module(module);
  records.pickle = std::move(pickled.pickle);
  records.tensors = std::move(pickled.tensors);
  print(module, records);
  return records;
}

}  // namespace checkpoint::format
