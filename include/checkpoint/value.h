#pragma once

#include <checkpoint/export.h>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>
#include <c10/util/complex.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace checkpoint {

class Value;

/// A dict's key: a string or an integer, as in Python's state_dicts.
using Key = std::variant<std::string, int64_t>;

/// The key as people read it: the string itself, or the number.
TORCH_CHECKPOINT_API std::string to_string(const Key& key);

/// A dict that keeps the order in which its entries came, as Python's does. Not thread-safe.
class TORCH_CHECKPOINT_API Dict {
 public:
  Dict();
  Dict(const Dict&);
  Dict(Dict&&) noexcept;
  Dict& operator=(const Dict&);
  Dict& operator=(Dict&&) noexcept;
  /// These entries, in this order: `Dict{{"lr", 0.1}, {"layers", Value::List{2, 3}}}`. Throws
  /// Error(invalid_argument) if a key comes twice.
  Dict(std::initializer_list<std::pair<Key, Value>> entries);
  ~Dict();

  bool empty() const noexcept;
  size_t size() const noexcept;
  /// Adds an entry. Throws Error(invalid_argument) if the key is there already: no entry is ever
  /// replaced silently.
  void insert(Key key, Value value);
  /// Sets the value of an entry; a new key is added at the end.
  void set(Key key, Value value);
  /// The entry's value, or null. The pointer lives until the next insert.
  const Value* find(const Key& key) const;
  Value* find(const Key& key);
  /// The entry's value. Throws Error(not_found) if there is none.
  const Value& at(const Key& key) const;
  bool contains(const Key& key) const { return find(key) != nullptr; }

  /// In the order of insertion.
  std::vector<std::pair<Key, Value>>::const_iterator begin() const;
  std::vector<std::pair<Key, Value>>::const_iterator end() const;

  /// Calls `visit(key, value)` for each entry, in the order of insertion. The value may be changed,
  /// the key not; the dict itself must be left alone meanwhile.
  template <typename Visit>
  void for_each(Visit visit);
  template <typename Visit>
  void for_each(Visit visit) const;

 private:
  std::vector<std::pair<Key, Value>> entries_;
  // From keys' hashes to places. A short dict has none: to look at each entry is faster, and a
  // model's optimizer has thousands of them.
  std::unordered_multimap<size_t, size_t> index_;
};

/// Like a List, but a tuple in Python and in TorchScript.
struct Tuple {
  std::vector<Value> items;
};

/// Python's torch.Size: a tensor's shape.
struct Size {
  std::vector<int64_t> sizes;
};

/// Python's bytes.
struct Bytes {
  std::string bytes;
};

/// An integer of Python's that does not fit into 64 bits, as its generators of random numbers hold
/// them: two's complement, the lowest byte first, as few bytes as can be.
struct BigInt {
  std::string bytes;
};

/// What a file of Python's holds and this library has no kind for: an object of some class, or the
/// name of a class or function. Nothing of it was run. It can be looked at, and the tensors in it
/// used; but no format writes it, and it stands for no other kind.
struct Opaque {
  std::string class_name;  ///< "argparse.Namespace".
  /// What the file says that it consists of: what its class would be called with, one by one, then
  /// the list and the dict of what was put into it, then its state. Where an object comes a second
  /// time, it has none.
  std::vector<Value> parts;
};

/// The tree in the middle: what a checkpoint holds, whatever the file's format. Copying a Value
/// copies the tree but shares its tensors, as copying a torch::Tensor does. Not thread-safe.
class TORCH_CHECKPOINT_API Value {
 public:
  using List = std::vector<Value>;
  enum class Kind {
    kNone,
    kBool,
    kInt,
    kDouble,
    kComplex,
    kString,
    kTensor,
    kList,
    kTuple,
    kDict,
    // What Python's files may hold beside these.
    kSize,
    kDtype,
    kDevice,
    kBytes,
    kBigInt,
    kOpaque
  };

  Value() = default;
  Value(bool value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(c10::complex<double> value) : data_(value) {}
  Value(std::string value) : data_(std::move(value)) {}
  Value(const char* value) : data_(std::string(value)) {}
  Value(at::Tensor value) : data_(std::move(value)) {}
  Value(List value) : data_(std::move(value)) {}
  Value(Tuple value) : data_(std::move(value)) {}
  Value(Dict value) : data_(std::move(value)) {}
  Value(Size value) : data_(std::move(value)) {}
  Value(c10::ScalarType value) : data_(value) {}
  Value(c10::Device value) : data_(value) {}
  Value(Bytes value) : data_(std::move(value)) {}
  Value(BigInt value) : data_(std::move(value)) {}
  Value(Opaque value) : data_(std::move(value)) {}
  /// Any integer but bool. Throws Error(invalid_argument) for one above 2^63 - 1, which would come
  /// back negative.
  template <typename T,
            typename = std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>>>
  Value(T value) : data_(static_cast<int64_t>(value)) {
    static_assert(sizeof(T) <= sizeof(int64_t), "a Value holds integers of at most 64 bits");
    if (value > T(0) && static_cast<int64_t>(value) < 0) {
      refuse_integer(static_cast<uint64_t>(value));
    }
  }

  Kind kind() const noexcept { return static_cast<Kind>(data_.index()); }
  bool is_none() const noexcept { return kind() == Kind::kNone; }
  bool is_tensor() const noexcept { return kind() == Kind::kTensor; }
  bool is_dict() const noexcept { return kind() == Kind::kDict; }

  /// Each throws Error(incompatible) that names both kinds if the value is of another kind; of an
  /// opaque value it names the class.
  bool to_bool() const;
  int64_t to_int() const;
  double to_double() const;  ///< Of an int too, if the double is equal to it.
  c10::complex<double> to_complex() const;
  const std::string& to_string() const;
  const at::Tensor& to_tensor() const;
  const List& list() const;
  List& list();
  const std::vector<Value>& tuple() const;
  std::vector<Value>& tuple();
  const Dict& dict() const;
  Dict& dict();
  const std::vector<int64_t>& to_size() const;
  c10::ScalarType to_dtype() const;
  c10::Device to_device() const;
  const std::string& to_bytes() const;
  const BigInt& to_big_int() const;
  const Opaque& opaque() const;
  Opaque& opaque();

  /// The entry of a dict: `tree["optimizer"]["lr"].to_double()`. Adds nothing. Throws
  /// Error(incompatible) if this is not a dict, Error(not_found), with the nearest key, if it has
  /// no such entry.
  const Value& operator[](const std::string& key) const;
  const Value& operator[](const char* key) const { return (*this)[std::string(key)]; }
  /// The element of a list or tuple, or the entry of a dict with this integer as its key. Throws
  /// Error(incompatible), or Error(not_found) with the size.
  const Value& operator[](int64_t index) const;
  const Value& operator[](int index) const { return (*this)[static_cast<int64_t>(index)]; }
  const Value& operator[](size_t index) const { return (*this)[static_cast<int64_t>(index)]; }
  /// Whether this is a dict with this entry. Never throws.
  bool contains(const std::string& key) const;

 private:
  [[noreturn]] static void refuse_integer(uint64_t value);

  // In the order of Kind.
  std::variant<std::monostate, bool, int64_t, double, c10::complex<double>, std::string, at::Tensor,
               List, Tuple, Dict, Size, c10::ScalarType, c10::Device, Bytes, BigInt, Opaque>
      data_;
};

template <typename Visit>
void Dict::for_each(Visit visit) {
  for (auto& [key, value] : entries_) visit(std::as_const(key), value);
}

template <typename Visit>
void Dict::for_each(Visit visit) const {
  for (const auto& [key, value] : entries_) visit(key, value);
}

/// The kind as error texts and manifests spell it: "int", "tensor", …
TORCH_CHECKPOINT_API const char* to_string(Value::Kind kind) noexcept;
/// The same, but of an opaque value its class: "object of the class 'argparse.Namespace'".
TORCH_CHECKPOINT_API std::string kind_text(const Value& value);

}  // namespace checkpoint
