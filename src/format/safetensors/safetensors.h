#pragma once

#include "format/decode/decoded.h"
#include "store/io/byte_sink.h"
#include "store/io/byte_source.h"

#include <checkpoint/value.h>

#include <map>
#include <string>

namespace checkpoint::format {

/// The key of the metadata under which a tree is kept that is more than a flat dict of tensors.
inline constexpr char kTreeKey[] = "torch_checkpoint.tree";

/// Reads a safetensors file up to the tensors' bytes: the tree that write_safetensors was given, or
/// else a flat Dict of names. Throws Error(corrupt), Error(unsupported), and what `source` throws.
DecodedArchive read_safetensors(const store::ByteSource& source);

/// The metadata of such a file, without the tree.
std::map<std::string, std::string> read_safetensors_metadata(const store::ByteSource& source);

/// Writes a tree as a safetensors file: sorted and aligned as the reference implementation does.
/// The tree's tensors must be dense (Densifier); a tied one is written under each of its names.
/// Throws Error(unsupported) for a dtype that the format has no name for, and for names that
/// collide.
void write_safetensors(const Value& tree, const std::map<std::string, std::string>& metadata,
                       store::ByteSink& sink);

}  // namespace checkpoint::format
