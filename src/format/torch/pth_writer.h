#pragma once

#include "format/pickle/pickle_writer.h"
#include "store/io/byte_sink.h"
#include "store/records/tensor_table.h"

#include <checkpoint/value.h>

#include <vector>

namespace checkpoint::format {

/// Writes a tree as Python's torch.save does (its zip format, of 1.6 and later), in time linear in
/// its size, for `torch.load(f)` with its defaults and with mmap=True. Every tensor is written as
/// one of the CPU. What PthStorages says about memory holds here. Throws Error(unsupported) for
/// what such a file cannot hold, and what the sink throws.
void write_pth(const Value& tree, store::ByteSink& sink, RootDict root = RootDict::kPlain);

/// The same for a tree whose tensors are dense, each with a storage of its own (Densifier). Returns
/// an entry for each place of a tensor in the tree, in order, but for `device` and `file`.
std::vector<store::TensorEntry> write_pth_with_table(const Value& tree, store::ByteSink& sink);

}  // namespace checkpoint::format
