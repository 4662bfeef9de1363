#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <c10/util/complex.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

// What a pickle makes while it is read. It is a graph and not yet a tree: lists and dicts are
// remembered, changed later, and used more than once. Everything is a Cell of 16 bytes. What does
// not fit into a cell is stored in a vector of the Graph, and the cell holds its index. So cells
// own nothing, and no destructor recurses, whatever the file contains.

namespace checkpoint::format::pickle {

/// A function or class that a pickle may name. Nothing is ever imported or called: this reader has
/// a few lines of its own for each (pickle_calls.cpp).
enum class Global : uint8_t {
  kRebuildOldTensor,           ///< torch._utils._rebuild_tensor, of before 0.4
  kRebuildTensor,              ///< torch._utils._rebuild_tensor_v2
  kRebuildTensorV3,            ///< torch._utils._rebuild_tensor_v3: the same, with a dtype
  kRebuildParameter,           ///< torch._utils._rebuild_parameter: its tensor
  kRebuildParameterWithState,  ///< torch._utils._rebuild_parameter_with_state: its tensor
  kRebuildFromCpu,             ///< torch._utils._rebuild_device_tensor_from_cpu_tensor: that tensor
  kRebuildFromType,  ///< torch._tensor._rebuild_from_type_v2: what its first argument would make
  kTensorClass,      ///< torch.Tensor and the like, as its second argument
  kParameterClass,   ///< torch.nn.parameter.Parameter: the same, or called with its tensor
  kTypedList,        ///< torch.jit._pickle.build_intlist and the like: the list itself
  kRestoreTypeTag,   ///< torch.jit._pickle.restore_type_tag: its first argument
  kOrderedDict,      ///< collections.OrderedDict
  kCounter,          ///< collections.Counter: the dict of its counts
  kDefaultDict,      ///< collections.defaultdict: a dict
  kListOf,           ///< builtins.set and others that are made from a list: the list
  kByteArray,        ///< builtins.bytearray: bytes
  kComplex,          ///< builtins.complex
  kEncode,           ///< _codecs.encode: how protocol 2 writes bytes
  kBytes,            ///< builtins.bytes: how protocol 2 writes empty bytes
  kSize,             ///< torch.Size
  kDevice,           ///< torch.device
};

struct Unset {};  ///< A place of the memo that is still empty.
struct None {};
struct Text {  ///< A range of the pickle's own bytes.
  uint32_t offset;
  uint32_t size;
};
struct OldText {  ///< A str of Python 2, which may hold a text or bytes.
  Text text;
};
struct ClassName {  ///< A TorchScript class, "__torch__…": an index into Graph::classes.
  uint32_t index;
};
struct ForeignName {  ///< A class or function that this reader does not know: Graph::foreign.
  uint32_t index;
};
struct StorageClass {  ///< torch.FloatStorage and the like.
  c10::ScalarType dtype;
};
struct UntypedStorageClass {};  ///< torch.UntypedStorage, which counts in bytes.
struct Dtype {                  ///< torch.float32 and the like.
  c10::ScalarType dtype;
};
struct BytesText {  ///< Python's bytes.
  Text text;
};
struct Latin1Text {  ///< Python's bytes, as the text that "latin1" makes of them.
  Text text;
};
struct LongText {  ///< An integer of more than 8 bytes.
  Text text;
};
struct DeviceAt {
  uint32_t index;
};
struct ComplexAt {
  uint32_t index;
};
struct StorageAt {
  uint32_t index;
};
struct TensorAt {
  uint32_t index;
};
struct TupleAt {
  uint32_t index;
};
struct SizeAt {  ///< A torch.Size: the index of its tuple.
  uint32_t index;
};
struct ListAt {
  uint32_t index;
};
struct DictAt {
  uint32_t index;
};
struct ObjectAt {
  uint32_t index;
};
struct OpaqueAt {
  uint32_t index;
};

using Cell = std::variant<Unset, None, bool, int64_t, double, Text, OldText, Global, ClassName,
                          StorageClass, UntypedStorageClass, Dtype, BytesText, Latin1Text, LongText,
                          DeviceAt, ComplexAt, StorageAt, TensorAt, TupleAt, SizeAt, ListAt, DictAt,
                          ObjectAt, ForeignName, OpaqueAt>;
static_assert(sizeof(Cell) == 16, "a pickle's size must bound what reading it takes");

/// A storage that the pickle names but does not contain.
struct Storage {
  std::optional<c10::ScalarType> dtype;  ///< Empty: `numel` counts bytes.
  Text key;
  Text location;
  int64_t numel;       ///< Elements of the whole storage in the file.
  int64_t first;       ///< Where it begins in there; above 0 only for a view of another storage.
  int64_t view_numel;  ///< How many elements it has from there on.
};

/// Consecutive cells. Their owner must outlive it, and must not grow.
class Cells {
 public:
  Cells(const Cell* data, size_t size) : data_(data), size_(size) {}
  Cells(const std::vector<Cell>& cells) : Cells(cells.data(), cells.size()) {}

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const Cell& operator[](size_t index) const { return data_[index]; }
  const Cell* begin() const { return data_; }
  const Cell* end() const { return data_ + size_; }

 private:
  const Cell* data_;
  size_t size_;
};

/// A class or function that this reader does not know.
struct Name {
  std::string_view module;
  std::string_view name;

  /// Returns both: "argparse.Namespace".
  std::string text() const { return std::string(module) + '.' + std::string(name); }
};

/// An object of a class that this reader does not know: all that the pickle says about it.
struct OpaqueObject {
  Name name;
  Cell arguments = None{};  ///< A tuple.
  Cell keywords = None{};   ///< A dict.
  Cell list = None{};       ///< The elements appended to it.
  Cell dict = None{};       ///< The entries set in it.
  Cell state = None{};      ///< The argument for its __setstate__.
  bool has_state = false;
};

struct Graph {
  struct Tuple {
    uint32_t first;
    uint32_t size;
  };

  std::string_view bytes;  ///< The pickle; must outlive the graph.
  /// The cells of all tuples are in one vector: tuples never change, and a file has about five of
  /// them for each tensor.
  std::vector<Tuple> tuples;
  std::vector<Cell> tuple_cells;
  /// For a list, its cells. For a dict, key and value by turns. For an object, its state once it is
  /// set.
  std::vector<std::vector<Cell>> nodes;
  std::vector<Storage> storages;
  std::vector<at::Tensor> tensors;
  std::vector<c10::complex<double>> complexes;
  std::vector<std::pair<Text, std::optional<int64_t>>>
      devices;                                 ///< The type, and the index if given.
  std::vector<std::pair<Text, Text>> classes;  ///< The module and the name.
  std::vector<Name> foreign;
  std::vector<OpaqueObject> opaques;

  Cells tuple(uint32_t index) const {
    return {tuple_cells.data() + tuples[index].first, tuples[index].size};
  }
  Cells list(uint32_t index) const { return nodes[index]; }
  std::string_view text(Text text) const { return bytes.substr(text.offset, text.size); }
};

}  // namespace checkpoint::format::pickle
