#pragma once

#include "format/torch/archive_plan.h"
#include "format/tree/dtype.h"
#include "store/io/byte_sink.h"
#include "store/records/tensor_table.h"

#include <checkpoint/value.h>

#include <set>
#include <string>
#include <vector>

namespace checkpoint::format {

/// Throws Error(unsupported) if plain LibTorch could not read this name back. Names become
/// TorchScript source, in which quotes, backslashes, line ends and keywords have a meaning. `path`
/// is the full path of the name.
void check_archive_name(const std::string& name, const std::string& path);

/// Returns whether a tree of nested dicts can be written: all names pass that check and are not
/// empty, and the tree is not too deep.
bool can_be_archive(const Dict& tree, int depth = 0);

/// Writes a tree as a LibTorch archive (torch::serialize::OutputArchive): each dict becomes a
/// nested archive. The entries of the outermost dict that `any_keys` names become TorchScript dicts
/// instead, whose keys may be any texts or any integers. Returns an entry for each tensor, in
/// order, without `device` and `file`.
///
/// The tensors must be dense CPU tensors that begin their storage. They are written from their own
/// memory, which must not change during the call. Throws Error(unsupported) for what an archive
/// cannot hold. Rethrows what the sink throws, and never aborts the process. The same tree is
/// always written with the same bytes.
std::vector<store::TensorEntry> write_archive(const Dict& tree, store::ByteSink& sink,
                                              const std::set<std::string>& any_keys = {});

/// Does the same, faster if `plan` is that of an archive whose entries have the same names and
/// types. Afterwards it is that of this one. If this one is refused, it is empty.
std::vector<store::TensorEntry> write_archive(const Dict& tree, store::ByteSink& sink,
                                              const std::set<std::string>& any_keys,
                                              ArchivePlan& plan);

}  // namespace checkpoint::format
