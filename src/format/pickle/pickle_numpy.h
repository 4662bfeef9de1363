#pragma once

#include "format/pickle/pickle_graph.h"

#include <checkpoint/value.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// NumPy's numbers and arrays, as NumPy 1 and 2 pickle them. This reader does not know the functions
// that would make them, but the arguments of those functions are plain data.

namespace checkpoint::format::pickle {

/// NumPy's description of an element type: "f8", in either byte order.
struct NumpyType {
  char kind;
  int64_t width;
  bool big_endian;
};

struct NumpyData {
  NumpyType type;
  bool is_array;  ///< False: a single number or text.
  std::vector<int64_t> sizes;
  bool fortran;  ///< The first dimension is contiguous.
  Cell bytes;
};

/// Returns the data of a NumPy object. Returns empty if the object is not one of NumPy's, or of a
/// kind that this reader does not know: structures, objects, dates.
std::optional<NumpyData> find_numpy(const Graph& graph, const OpaqueObject& object);

/// Returns a single element as the value that it is in Python. Returns empty if `bytes` has the
/// wrong size, or if a tree cannot hold such a value.
std::optional<Value> numpy_value(const NumpyType& type, std::string bytes);

/// Returns the dtype of an array's tensor; empty if this LibTorch does not have it.
std::optional<c10::ScalarType> numpy_dtype(const NumpyType& type);

/// Returns the strides of a contiguous array; empty if it would need another number of bytes.
std::optional<std::vector<int64_t>> numpy_strides(const NumpyData& array, size_t bytes);

}  // namespace checkpoint::format::pickle
