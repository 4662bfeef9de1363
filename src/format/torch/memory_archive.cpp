#include "format/torch/memory_archive.h"

#include "compat/private_member.h"
#include "format/torch/archive_modules.h"
#include "format/torch/ivalue.h"
#include "format/tree/path.h"

#include <checkpoint/error.h>

#include <utility>
#include <variant>

namespace checkpoint::format {

using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

namespace {

// The name of the module in each archive, in every LibTorch from 1.13 to 2.14.
TORCH_CHECKPOINT_OPEN_MEMBER(ModuleOfInput, InputArchive::module_)
TORCH_CHECKPOINT_OPEN_MEMBER(ModuleOfOutput, OutputArchive::module_)

torch::jit::Module to_module(const Dict& tree, const std::string& path, ArchiveModules& modules) {
  ArchiveEntries entries;
  entries.reserve(tree.size());
  for (const auto& [key, value] : tree) {
    const std::string name = to_string(key);
    if (std::holds_alternative<int64_t>(key) && tree.contains(name)) {
      throw Error(ErrorCode::kCorrupt, "'" + dotted(path, name) +
                                           "' is there twice, as a number and as a text, and an "
                                           "archive has texts alone");
    }
    if (value.is_dict()) {
      entries.add(name, to_module(value.dict(), dotted(path, name), modules));
    } else if (value.is_tensor()) {
      entries.add(name, value.to_tensor());
    } else {
      entries.add(name, to_ivalue(value, dotted(path, name)));
    }
  }
  return modules.make(std::move(entries));
}

}  // namespace

Dict from_script_module(const torch::jit::Module& module, const std::string& path) {
  Dict tree;
  for (const auto& attribute : module.named_attributes(/*recurse=*/false)) {
    const std::string place = dotted(path, attribute.name);
    if (attribute.value.isModule()) {
      tree.insert(attribute.name, from_script_module(attribute.value.toModule(), place));
    } else {
      tree.insert(attribute.name, from_ivalue(attribute.value, place));
    }
  }
  return tree;
}

const torch::jit::Module& module_of(const OutputArchive& archive) {
  return archive.*member_of(ModuleOfOutput());
}

OutputArchive archive_of(torch::jit::Module module) {
  OutputArchive archive(module._ivalue()->compilation_unit());
  archive.*member_of(ModuleOfOutput()) = std::move(module);
  return archive;
}

Dict from_archive(const OutputArchive& archive, const std::string& path) {
  return from_script_module(module_of(archive), path);
}

InputArchive to_archive(const Dict& tree, const std::string& path) {
  ArchiveModules modules;
  InputArchive archive;
  archive.*member_of(ModuleOfInput()) = to_module(tree, path, modules);
  return archive;
}

}  // namespace checkpoint::format
