#pragma once

#include "format/dcp/flatten.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint::format::dcp {

/// Writes the index of a checkpoint that has one file and each tensor in one piece. PyTorch 2.3 and
/// later read it. It holds no path, name or time of this machine. Used once.
class IndexWriter {
 public:
  /// `file` is the path of the blobs, relative to the directory.
  explicit IndexWriter(std::string file) : file_(std::move(file)) {}

  /// Adds a leaf, and where its blob lies. `tensor` is what was written of a tensor; undefined for
  /// any other value.
  void add(const Leaf& leaf, const at::Tensor& tensor, uint64_t offset, uint64_t bytes);
  /// Returns the pickle (protocol 2).
  std::string finish();

 private:
  void put_tensor(const at::Tensor& tensor);
  void put_path(const Leaf& leaf);
  void put_blob(const Leaf& leaf, const at::Tensor& tensor, uint64_t offset, uint64_t bytes);

  const std::string file_;
  // The entries of the three dicts.
  std::string metadata_;
  std::string paths_;
  std::string storage_;
};

}  // namespace checkpoint::format::dcp
