#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/class_type.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace checkpoint::format {

/// The entries of one archive: what calls of OutputArchive::write would add. The tensors are
/// shared.
class ArchiveEntries {
 public:
  void reserve(size_t count);
  void add(const std::string& name, const at::Tensor& tensor);  ///< A buffer, or a parameter.
  void add(const std::string& name, c10::IValue value);
  void add(const std::string& name, const torch::jit::Module& nested);

 private:
  friend class ArchiveModules;
  void add(c10::AttributeKind kind, c10::TypePtr type, const std::string& name, c10::IValue value);

  std::vector<c10::ClassAttribute> attributes_;
  std::vector<c10::IValue> values_;
};

/// Makes the modules that LibTorch's archives consist of, one for each archive, in time that grows
/// with their number of entries. OutputArchive::write compares each name with all before it, and
/// gives each archive a class of its own, which is a record in the file and is compiled when it is
/// loaded: both take seconds for thousands of entries. Here, archives whose entries have the same
/// names and types share one class. LibTorch reads them alike.
class ArchiveModules {
 public:
  ArchiveModules() : unit_(std::make_shared<torch::jit::CompilationUnit>()) {}

  /// Returns the module of an archive with these entries. Their names must differ.
  torch::jit::Module make(ArchiveEntries entries);

 private:
  c10::ClassTypePtr class_of(std::vector<c10::ClassAttribute> attributes);

  std::shared_ptr<torch::jit::CompilationUnit> unit_;  // Owns the classes.
  std::unordered_map<std::string, c10::ClassTypePtr> classes_;
};

}  // namespace checkpoint::format
