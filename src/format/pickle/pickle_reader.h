#pragma once

#include "format/decode/tensor_layout.h"

#include <checkpoint/value.h>

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace checkpoint::format {

/// The largest pickle that is read, in bytes.
constexpr uint64_t kMaxPickleBytes = uint64_t{1} << 27;

/// Makes the tensor that goes into the tree. Throws Error if that is impossible.
using TensorMaker = std::function<at::Tensor(const TensorLayout&)>;

/// Reads one pickle, as LibTorch's own pickler or Python's write them (protocols 2 to 5), into a
/// tree. Nothing that the pickle names is ever imported, searched for or called. pickle_globals.h
/// lists the known names. An object of another class becomes an opaque value; a name that can only
/// act is refused. An object of a TorchScript class becomes a Dict of its attributes, in their
/// order; so do Python's OrderedDict, Counter and defaultdict. A list that two places share becomes
/// two lists; a tensor that they share stays one.
///
/// `file` is for errors. Throws Error(corrupt) for a pickle that is damaged or contains itself.
/// Throws Error(unsupported) for what this reader refuses, and for nesting deeper than 256. It also
/// refuses a tree that would take far more memory than the pickle's size explains. Errors of the
/// machine name the byte. With `end`, more bytes may follow the pickle, and `*end` is set to the
/// pickle's size.
Value read_pickle(std::string_view bytes, const std::string& file, const TensorMaker& make_tensor,
                  size_t* end = nullptr);

/// A storage as a pickle describes it.
struct PickledStorage {
  std::string key;
  std::optional<c10::ScalarType> dtype;  ///< Empty: `numel` counts bytes.
  int64_t numel;                         ///< Unchecked.
};

/// Returns the storages that a pickle names, one entry each time; the pickle's values are not made.
/// Throws like read_pickle.
std::vector<PickledStorage> read_storages(std::string_view bytes, const std::string& file,
                                          size_t* end);

}  // namespace checkpoint::format
