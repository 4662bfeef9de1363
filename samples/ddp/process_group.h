#pragma once

#include <torch/types.h>

#include <memory>
#include <vector>

#include <torch/csrc/distributed/c10d/Store.hpp>

namespace ddp {

/// The processes of one training, started by torchrun or by run.sh. They sum tensors with Gloo.
class ProcessGroup {
 public:
  /// Meets the others, by the environment variables RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.
  /// Throws std::runtime_error if one of them is missing, and c10::Error if the others do not come.
  ProcessGroup();
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  /// Keys and values that all ranks see. It may serve for other things, under other keys.
  const c10::intrusive_ptr<c10d::Store>& store() const { return store_; }

  /// Replaces each tensor by its sum over all ranks: the same bits on all of them. The tensors must
  /// be floats on the CPU.
  void sum(const std::vector<torch::Tensor>& tensors);

 private:
  struct Gloo;

  int rank_;
  int size_;
  c10::intrusive_ptr<c10d::Store> store_;
  std::unique_ptr<Gloo> gloo_;
};

}  // namespace ddp
