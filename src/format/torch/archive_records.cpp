// Encodes an archive as LibTorch's OutputArchive::save_to does (in
// torch/csrc/jit/serialization/export_module.cpp). LibTorch then computes the CRC-32 of all tensors
// on one core. Here, the sink does that with several.

#include "format/torch/archive_records.h"

#include "base/parallel.h"
#include "format/torch/archive_pickler.h"
#include "format/torch/memory_archive.h"

#include <checkpoint/error.h>

#include <torch/csrc/jit/serialization/python_print.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace checkpoint::format {
namespace {

// "__torch__.___torch_mangle_0" to "code/__torch__/___torch_mangle_0.py".
std::string path_of(std::string qualifier) {
  std::replace(qualifier.begin(), qualifier.end(), '.', '/');
  return "code/" + qualifier + ".py";
}

// Prints a module's class, and those of its submodules, which are the types of its attributes.
// LibTorch's function takes a module and holds all of its values meanwhile. A pickler that runs in
// parallel would take them for shared, and write other bytes from time to time. So it gets a module
// without values.
std::shared_ptr<const ArchiveSources> sources_of(const torch::jit::Module& module) {
  const torch::jit::Module without_values(module._ivalue()->compilation_unit(), module.type());
  torch::jit::ExtraFilesMap sources;
  std::vector<c10::IValue> constants;
  torch::jit::jitModuleToPythonCodeAndConstants(without_values, &sources, &constants);
  // Only methods have constants, and an archive has none.
  if (!constants.empty()) throw Error(ErrorCode::kUnsupported, "the archive has TorchScript code");
  const auto by_path = std::make_shared<ArchiveSources>();
  for (auto& [qualifier, source] : sources) by_path->emplace(path_of(qualifier), std::move(source));
  return by_path;
}

}  // namespace

ArchiveRecords records_of(const torch::serialize::OutputArchive& archive, ArchivePlan& plan,
                          size_t tensors) {
  const torch::jit::Module& module = module_of(archive);
  PickledModule pickled;
  const auto pickle = [&] { pickled = pickle_module(module, tensors); };
  if (plan.root == module.type()) {
    pickle();
  } else {
    // With many small tensors both take long, so they run in parallel.
    std::shared_ptr<const ArchiveSources> sources;
    base::side_by_side([&] { sources = sources_of(module); }, pickle);
    plan.root = module.type();
    plan.sources = std::move(sources);
  }
  return {std::move(pickled.pickle), std::move(pickled.tensors), plan.sources};
}

}  // namespace checkpoint::format
