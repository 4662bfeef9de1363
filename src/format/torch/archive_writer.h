#pragma once

#include "format/tree/dtype.h"
#include "store/io/byte_sink.h"
#include "store/records/tensor_table.h"

#include <checkpoint/value.h>

#include <set>
#include <string>
#include <vector>

namespace checkpoint::format {

/// Throws Error(unsupported) if plain LibTorch could not read the name back: names become
/// TorchScript source, where quotes, backslashes, line ends and keywords have a meaning.
/// `path` says where the name stands.
void check_archive_name(const std::string& name, const std::string& path);

/// Whether that holds for all names of a tree of nested dicts, and none is empty, and it is not too
/// deep to be written.
bool can_be_archive(const Dict& tree, int depth = 0);

/// Writes a tree as a LibTorch archive (torch::serialize::OutputArchive): each dict becomes a
/// nested archive. Its tensors must be dense CPU tensors that begin their storage; they are written
/// from their own memory, and must not change during the call. Returns an entry for each tensor, in
/// order, but for `device` and `file`. Never aborts the process, whatever the sink throws; that is
/// rethrown. Throws Error(unsupported) for what an archive cannot hold. The entries of the
/// outermost dict that `any_keys` names become dicts of TorchScript instead, whose keys may be any
/// texts or any integers.
std::vector<store::TensorEntry> write_archive(const Dict& tree, store::ByteSink& sink,
                                              const std::set<std::string>& any_keys = {});

}  // namespace checkpoint::format
