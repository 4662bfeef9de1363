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

/// The largest pickle that is read.
constexpr uint64_t kMaxPickleBytes = uint64_t{1} << 27;

/// Makes the tensor that goes into the tree. Throws Error if it cannot be.
using TensorMaker = std::function<at::Tensor(const TensorLayout&)>;

/// Reads one pickle, as LibTorch's own pickler or Python's write them (protocols 2 to 5), into a
/// tree. Nothing that the pickle names is imported, looked up or called, and what is not known is
/// refused: pickle_globals.h says what is. An object of a TorchScript class becomes a Dict of its
/// attributes, in their order; so do the OrderedDict, Counter and defaultdict of Python. A list
/// that two places share becomes two lists; a tensor that they share stays one.
///
/// `file` is for the errors: Error(corrupt) for a pickle that is damaged or that contains itself,
/// Error(unsupported) for what this reader does not know, nesting deeper than 256 or a tree that
/// would take far more memory than the pickle's size explains. Each names the byte. With `end`,
/// which is set to the pickle's size, more bytes may stand behind it.
Value read_pickle(std::string_view bytes, const std::string& file, const TensorMaker& make_tensor,
                  size_t* end = nullptr);

/// A storage as a pickle names it.
struct PickledStorage {
  std::string key;
  std::optional<c10::ScalarType> dtype;  ///< None: `numel` counts bytes.
  int64_t numel;                         ///< Unchecked.
};

/// The storages that a pickle names, one entry for each time it does; its values are not made.
/// Throws as read_pickle.
std::vector<PickledStorage> read_storages(std::string_view bytes, const std::string& file,
                                          size_t* end);

}  // namespace checkpoint::format
