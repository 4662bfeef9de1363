// Encodes an archive with LibTorch's own pickler and printer. LibTorch's OutputArchive::save_to
// does the same, and then computes the CRC-32 of all tensors on one core (in
// torch/csrc/jit/serialization/export_module.cpp). Here, the sink does that with several.

#include "format/torch/archive_records.h"

#include "format/torch/memory_archive.h"

#include <checkpoint/error.h>

#include <torch/csrc/jit/serialization/pickler.h>
#include <torch/csrc/jit/serialization/python_print.h>

#include <algorithm>

namespace checkpoint::format {
namespace {

void pickle(const torch::jit::Module& module, ArchiveRecords& records) {
  // An archive and those nested in it share one compilation unit, where each type has another name.
  const auto name_of = [](const c10::ClassTypePtr& type) { return type->name().value(); };
  std::vector<c10::ClassTypePtr> types;
  torch::jit::Pickler pickler(
      [&](const char* bytes, size_t count) { records.pickle.append(bytes, count); }, nullptr,
      name_of, &types);
  pickler.protocol();
  pickler.pushIValue(module._ivalue());
  pickler.stop();
  records.tensors = pickler.tensorData();
}

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
  pickle(module, records);
  print(module, records);
  return records;
}

}  // namespace checkpoint::format
