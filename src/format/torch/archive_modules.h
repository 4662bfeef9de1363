#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/class_type.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace checkpoint::format {

/// The entries of one archive: what calls of OutputArchive::write would add. The tensors are
/// shared.
class ArchiveEntries {
 public:
  void reserve(size_t count) { entries_.reserve(count); }
  /// A tensor becomes a parameter if it requires a gradient, and a buffer otherwise.
  void add(std::string name, c10::IValue value) {
    entries_.push_back({std::move(name), std::move(value)});
  }
  void add(std::string name, const torch::jit::Module& nested) {
    entries_.push_back({std::move(name), nested._ivalue()});
  }

 private:
  friend class ArchiveModules;
  struct Entry {
    std::string name;
    c10::IValue value;
  };
  std::vector<Entry> entries_;
};

/// Makes the modules that LibTorch's archives consist of, one for each archive, in time that grows
/// with their number of entries. OutputArchive::write compares each name with all before it, and
/// gives each archive a class of its own, which is a record in the file and is compiled when it is
/// loaded: both take seconds for thousands of entries. Here, archives whose entries have the same
/// names and types share one class. LibTorch reads them alike. Not thread-safe.
class ArchiveModules {
 public:
  ArchiveModules() : unit_(std::make_shared<torch::jit::CompilationUnit>()) {}

  /// Returns the module of an archive with these entries. Their names must differ.
  torch::jit::Module make(ArchiveEntries entries);

  /// Begins the modules of the next file. Their classes are found faster where the entries have the
  /// names and types of the last file's. Its modules remain valid.
  void begin_next();

 private:
  using Entry = ArchiveEntries::Entry;
  c10::ClassTypePtr class_for(const std::vector<Entry>& entries);
  const c10::ClassTypePtr* likely_class() const;
  c10::ClassTypePtr find_class(const std::vector<Entry>& entries);

  std::shared_ptr<torch::jit::CompilationUnit> unit_;  // Owns the classes.
  std::unordered_map<std::string, c10::ClassTypePtr> classes_;
  std::vector<c10::ClassTypePtr> in_last_file_;  // Of each module, in the order of `make`.
  std::vector<c10::ClassTypePtr> in_this_file_;
};

}  // namespace checkpoint::format
