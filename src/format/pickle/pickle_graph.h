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

// What a pickle makes while it is read: a graph, not yet a tree, because its lists and dicts are
// remembered, changed later, and used more than once. Everything is a Cell of 16 bytes; what does
// not fit into one stands in a vector of the Graph and is named by its index. So nothing here owns
// anything that owns something, and no destructor recurses, whatever a file says.

namespace checkpoint::format::pickle {

/// A function or class that a pickle may name. Nothing is ever imported or called: each stands for
/// a few lines of this reader (pickle_globals.cpp).
enum class Global : uint8_t {
  kRebuildOldTensor,           ///< torch._utils._rebuild_tensor, of before 0.4
  kRebuildTensor,              ///< torch._utils._rebuild_tensor_v2
  kRebuildTensorV3,            ///< torch._utils._rebuild_tensor_v3: the same, with a dtype
  kRebuildParameter,           ///< torch._utils._rebuild_parameter: its tensor
  kRebuildParameterWithState,  ///< torch._utils._rebuild_parameter_with_state: its tensor
  kRebuildFromCpu,             ///< torch._utils._rebuild_device_tensor_from_cpu_tensor: that tensor
  kRebuildFromType,  ///< torch._tensor._rebuild_from_type_v2: what its first argument would make
  kTensorClass,      ///< torch.Tensor and its kind, as its second argument
  kParameterClass,   ///< torch.nn.parameter.Parameter: so too, or called with its tensor
  kTypedList,        ///< torch.jit._pickle.build_intlist and its kind: the list itself
  kRestoreTypeTag,   ///< torch.jit._pickle.restore_type_tag: its first argument
  kOrderedDict,      ///< collections.OrderedDict
  kCounter,          ///< collections.Counter: the dict of its counts
  kDefaultDict,      ///< collections.defaultdict: a dict
  kListOf,           ///< builtins.set and others that are made from a list: the list
  kByteArray,        ///< builtins.bytearray: bytes
  kComplex,          ///< builtins.complex
  kEncode,           ///< _codecs.encode: how protocol 2 writes bytes
  kBytes,            ///< builtins.bytes: how protocol 2 writes no bytes
  kSize,             ///< torch.Size
  kDevice,           ///< torch.device
};

struct Unset {};  ///< A place of the memo that nothing was put into.
struct None {};
struct Text {  ///< Bytes of the pickle itself.
  uint32_t offset;
  uint32_t size;
};
struct OldText {  ///< A str of Python 2, where it might hold a text or bytes.
  Text text;
};
struct ClassName {  ///< A TorchScript class, "__torch__…": an index into Graph::classes.
  uint32_t index;
};
struct ForeignName {  ///< A class or function that this reader does not know: Graph::foreign.
  uint32_t index;
};
struct StorageClass {  ///< torch.FloatStorage and its kind.
  c10::ScalarType dtype;
};
struct UntypedStorageClass {};  ///< torch.UntypedStorage, which counts in bytes.
struct Dtype {                  ///< torch.float32 and its kind.
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
struct SizeAt {  ///< A tuple's.
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

/// A storage that the pickle names, but does not hold.
struct Storage {
  std::optional<c10::ScalarType> dtype;  ///< None: `numel` counts bytes.
  Text key;
  Text location;
  int64_t numel;       ///< Of all that the file holds for it.
  int64_t first;       ///< Where in that it begins: not at 0 if it is a view of another storage.
  int64_t view_numel;  ///< How many elements are its own.
};

/// A run of cells that stand one behind the other. The owner must outlive it, and not grow.
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
};

/// What a name would make that this reader does not know: all that the pickle says of it.
struct OpaqueObject {
  Name name;
  Cell arguments = None{};  ///< A tuple.
  Cell keywords = None{};   ///< A dict.
  Cell list = None{};       ///< What was appended to it.
  Cell dict = None{};       ///< What was set in it.
  Cell state = None{};      ///< What its __setstate__ would get.
  bool has_state = false;
};

struct Graph {
  struct Tuple {
    uint32_t first;
    uint32_t size;
  };

  std::string_view bytes;  ///< The pickle; must outlive the graph.
  /// Tuples never change, and a file of tensors has five of them for each: their cells stand in one
  /// vector.
  std::vector<Tuple> tuples;
  std::vector<Cell> tuple_cells;
  /// The cells of lists; of dicts, key and value by turns; of objects, their state once
  /// they have it.
  std::vector<std::vector<Cell>> nodes;
  std::vector<Storage> storages;
  std::vector<at::Tensor> tensors;
  std::vector<c10::complex<double>> complexes;
  std::vector<std::pair<Text, std::optional<int64_t>>> devices;  ///< Type, perhaps with an index.
  std::vector<std::pair<Text, Text>> classes;                    ///< Module and name.
  std::vector<Name> foreign;
  std::vector<OpaqueObject> opaques;

  Cells tuple(uint32_t index) const {
    return {tuple_cells.data() + tuples[index].first, tuples[index].size};
  }
  Cells list(uint32_t index) const { return nodes[index]; }
  std::string_view text(Text text) const { return bytes.substr(text.offset, text.size); }
};

}  // namespace checkpoint::format::pickle
