#pragma once

#include "format/pickle/pickle_writer.h"
#include "store/io/byte_sink.h"
#include "store/records/tensor_table.h"

#include <checkpoint/value.h>

#include <vector>

namespace checkpoint::format {

/// Writes a tree like Python's torch.save (its zip format, since 1.6). `torch.load(f)` reads it
/// with its defaults and with mmap=True. Every tensor is written as a CPU tensor. Takes time linear
/// in the tree's size. PthStorages says what must hold for the tensors' memory. Throws
/// Error(unsupported) for what such a file cannot hold, and what the sink throws.
void write_pth(const Value& tree, store::ByteSink& sink, RootDict root = RootDict::kPlain);

/// The same, for a tree whose tensors are dense, each with a storage of its own (Densifier).
/// Returns an entry for each place of a tensor in the tree, in order, without `device` and `file`.
std::vector<store::TensorEntry> write_pth_with_table(const Value& tree, store::ByteSink& sink);

}  // namespace checkpoint::format
