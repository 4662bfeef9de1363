#pragma once

#include "store/io/byte_source.h"

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace checkpoint::format {

/// One tensor of a safetensors file.
struct SafetensorsEntry {
  std::string name;
  c10::ScalarType dtype;
  std::vector<int64_t> shape;
  uint64_t begin;  ///< Of its bytes, from the end of the header on.
  uint64_t end;
};

/// The header of a safetensors file (https://github.com/huggingface/safetensors).
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> tensors;  ///< In the order of their bytes.
  std::map<std::string, std::string> metadata;
  uint64_t data_offset;  ///< Where in the file the tensors' bytes begin.
};

/// Whether a file of this size that begins so can be a safetensors file. `begin` is the whole file,
/// or at least 9 bytes of it; blanks may stand before the header's brace, even more than `begin`
/// holds.
bool looks_like_safetensors(std::string_view begin, uint64_t file_bytes);

/// Reads and checks the header: the tensors' bytes fill the rest of the file, without gaps and
/// overlaps, and each has as many as its shape and dtype say. Throws Error(corrupt), and
/// Error(unsupported) for a dtype that this LibTorch does not have.
SafetensorsHeader read_safetensors_header(const store::ByteSource& source);

/// "F32" for kFloat; null for what safetensors has no name for.
const char* safetensors_dtype(c10::ScalarType dtype);
/// The dtype's place in the order by which the reference implementation sorts.
int safetensors_rank(c10::ScalarType dtype);

}  // namespace checkpoint::format
