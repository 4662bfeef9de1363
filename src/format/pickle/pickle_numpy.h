#pragma once

#include "format/pickle/pickle_graph.h"

#include <checkpoint/value.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// NumPy's numbers and arrays, as NumPy 1 and 2 pickle them: the functions that would make them are
// not known to this reader, but what they get is plain data.

namespace checkpoint::format::pickle {

/// How NumPy describes a kind of element: "f8" in either byte order.
struct NumpyType {
  char kind;
  int64_t width;
  bool big_endian;
};

struct NumpyData {
  NumpyType type;
  bool is_array;  ///< Otherwise a single number or text.
  std::vector<int64_t> sizes;
  bool fortran;  ///< The first dimension's elements stand side by side.
  Cell bytes;
};

/// What the object holds; empty if it does not come from NumPy, or is of a kind that this reader
/// does not know: of structures, objects, dates.
std::optional<NumpyData> find_numpy(const Graph& graph, const OpaqueObject& object);

/// A single one as the value that it is in Python; empty if it has another number of bytes, or if a
/// tree has no place for it.
std::optional<Value> numpy_value(const NumpyType& type, std::string bytes);

/// The dtype of an array's tensor; empty if the LibTorch in use has none.
std::optional<c10::ScalarType> numpy_dtype(const NumpyType& type);

/// Of an array that fills its memory; empty if it would need another number of bytes.
std::optional<std::vector<int64_t>> numpy_strides(const NumpyData& array, size_t bytes);

}  // namespace checkpoint::format::pickle
