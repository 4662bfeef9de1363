#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <c10/util/complex.h>

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

// What a pickle makes while it is read: a graph, not yet a tree, because its lists and dicts are
// remembered, changed later, and used more than once. Everything is an Item of 16 bytes; what does
// not fit into one stands in a vector of the Graph and is named by its index. So nothing here owns
// anything that owns something, and no destructor recurses, whatever a file says.

namespace checkpoint::format::pickle {

/// A function or class that a pickle may name. Nothing is ever imported or called: each stands for
/// a few lines of this reader (pickle_globals.cpp).
enum class Global : uint8_t {
  kRebuildTensor,   ///< torch._utils._rebuild_tensor_v2
  kTypedList,       ///< torch.jit._pickle.build_intlist and its kind: the list itself
  kRestoreTypeTag,  ///< torch.jit._pickle.restore_type_tag: its first argument
  kOrderedDict,     ///< collections.OrderedDict
  kComplex,         ///< builtins.complex
  kDevice,          ///< torch.device: its name, as a string
};

struct Unset {};  ///< A place of the memo that nothing was put into.
struct None {};
struct Text {  ///< Bytes of the pickle itself.
  uint32_t offset;
  uint32_t size;
};
struct ClassName {  ///< A TorchScript class, "__torch__…"; its full name as in the pickle.
  Text text;
};
struct StorageClass {  ///< torch.FloatStorage and its kind.
  c10::ScalarType dtype;
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
struct ListAt {
  uint32_t index;
};
struct DictAt {
  uint32_t index;
};
struct ObjectAt {
  uint32_t index;
};

using Item = std::variant<Unset, None, bool, int64_t, double, Text, Global, ClassName, StorageClass,
                          ComplexAt, StorageAt, TensorAt, TupleAt, ListAt, DictAt, ObjectAt>;
static_assert(sizeof(Item) == 16, "a pickle's size must bound what reading it takes");

/// A storage that the pickle names, but does not hold.
struct Storage {
  c10::ScalarType dtype;
  Text key;
  Text location;
  int64_t numel;
};

struct Graph {
  std::string_view bytes;  ///< The pickle; must outlive the graph.
  /// The items of tuples and lists; of dicts, key and value by turns; of objects, their state once
  /// they have it.
  std::vector<std::vector<Item>> nodes;
  std::vector<Storage> storages;
  std::vector<at::Tensor> tensors;
  std::vector<c10::complex<double>> complexes;

  std::string_view text(Text text) const { return bytes.substr(text.offset, text.size); }
};

}  // namespace checkpoint::format::pickle
