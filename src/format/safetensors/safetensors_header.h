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
  std::vector<int64_t> shape;  ///< As LibTorch has it: an element of F4 there is two numbers.
  uint64_t begin;              ///< Where its bytes begin, counted from the end of the header.
  uint64_t end;
};

/// The header of a safetensors file (https://github.com/huggingface/safetensors).
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> tensors;  ///< In the order of their bytes.
  std::map<std::string, std::string> metadata;
  uint64_t data_offset;  ///< Where the tensors' bytes begin in the file.
};

/// Returns whether a file of this size that begins with these bytes can be a safetensors file.
/// `begin` is the whole file, or at least its first 9 bytes. Blanks may precede the header's brace,
/// even more than `begin` holds.
bool looks_like_safetensors(std::string_view begin, uint64_t file_bytes);

/// Reads and checks the header. The tensors' bytes must fill the rest of the file without gaps or
/// overlaps. Each tensor must have as many bytes as its shape and dtype need. Throws
/// Error(corrupt). For a valid file, throws Error(unsupported), naming the tensor, for a dtype that
/// this LibTorch does not have, or a shape that it cannot have.
SafetensorsHeader read_safetensors_header(const store::ByteSource& source);

/// Returns the format's name of a dtype: "F32" for kFloat. Returns null if the format does not
/// support the dtype.
const char* safetensors_dtype(c10::ScalarType dtype);
/// Returns the shape that a header gives for a tensor of this dtype and shape. They differ for
/// F4, of which LibTorch counts pairs. Throws Error(unsupported) if there is no such shape.
std::vector<int64_t> safetensors_shape(const std::string& name, c10::ScalarType dtype,
                                       std::vector<int64_t> shape);
/// Returns the dtype's position in the order by which the reference implementation sorts.
int safetensors_rank(c10::ScalarType dtype);

}  // namespace checkpoint::format
