#pragma once

#include "format/decode/decoded.h"
#include "store/io/byte_sink.h"
#include "store/io/byte_source.h"

#include <checkpoint/value.h>

#include <map>
#include <string>

namespace checkpoint::format {

/// The metadata key that holds the tree, if the tree is more than a flat dict of tensors.
inline constexpr char kTreeKey[] = "torch_checkpoint.tree";

/// Reads a safetensors file, but not the bytes of its tensors. Returns the tree that was given to
/// write_safetensors, or else a flat Dict of names. Throws Error: corrupt, unsupported, and what
/// `source` throws.
DecodedArchive read_safetensors(const store::ByteSource& source);

/// Adds the names that huggingface_hub dropped when it wrote a flat dict: of tied tensors it writes
/// one, and notes the others in the metadata as {dropped name: kept name}. Returns those that were
/// added. An entry of the metadata that names no tensor of `flat` means something else.
std::map<std::string, std::string> add_dropped_names(
    const std::map<std::string, std::string>& metadata, Dict& flat);

/// Returns whether a file is a safetensors file, by its first bytes.
bool is_safetensors(const store::ByteSource& source);

/// Returns the metadata of such a file, without the tree.
std::map<std::string, std::string> read_safetensors_metadata(const store::ByteSource& source);

/// Writes a tree as a safetensors file, sorted and aligned like the reference implementation does.
/// The tensors must be dense (Densifier); a tied one is written under each of its names. Throws
/// Error(unsupported) for a dtype that the format does not support, and for names that collide.
void write_safetensors(const Value& tree, const std::map<std::string, std::string>& metadata,
                       store::ByteSink& sink);

}  // namespace checkpoint::format
