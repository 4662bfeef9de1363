#pragma once

#include <checkpoint/export.h>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>
#include <c10/util/complex.h>

#include <complex>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace checkpoint {

class Value;

/// The key of a dict: a string or an integer, as in Python's state_dicts.
using Key = std::variant<std::string, int64_t>;

/// Returns a key as text: the string itself, or the number.
TORCH_CHECKPOINT_API std::string to_string(const Key& key);

/// A dict that keeps the order of insertion, as Python's does. Not thread-safe.
class TORCH_CHECKPOINT_API Dict {
 public:
  Dict();                            ///< Makes an empty dict.
  Dict(const Dict&);                 ///< Copies the tree, and shares its tensors.
  Dict(Dict&&) noexcept;             ///< Leaves the other one empty.
  Dict& operator=(const Dict&);      ///< Copies the tree, and shares its tensors.
  Dict& operator=(Dict&&) noexcept;  ///< Leaves the other one empty.
  /// Makes a dict with these entries, in this order. Throws Error(invalid_argument) if a key comes
  /// twice.
  ///
  ///     Dict{{"lr", 0.1}, {"layers", Value::List{2, 3}}}
  Dict(std::initializer_list<std::pair<Key, Value>> entries);
  ~Dict();

  bool empty() const noexcept;   ///< Returns whether it is empty.
  size_t size() const noexcept;  ///< Returns the number of entries.
  /// Adds an entry at the end. Throws Error(invalid_argument) if it has this key already.
  void insert(Key key, Value value);
  /// Sets the value of an entry. A new key is added at the end.
  void set(Key key, Value value);
  /// Returns the value of an entry, or null. The pointer is valid until the next insert.
  const Value* find(const Key& key) const;
  /// Returns the value of an entry, or null. The pointer is valid until the next insert.
  Value* find(const Key& key);
  /// Returns the value of an entry. Throws Error(not_found) if the key is missing.
  const Value& at(const Key& key) const;
  /// Returns whether it has an entry with this key.
  bool contains(const Key& key) const { return find(key) != nullptr; }

  /// Returns an iterator to the first entry, in the order of insertion.
  std::vector<std::pair<Key, Value>>::const_iterator begin() const;
  /// Returns the end of the entries.
  std::vector<std::pair<Key, Value>>::const_iterator end() const;

  /// Calls `visit(key, value)` for each entry, in the order of insertion. It may change the value,
  /// but not the key, and not the dict itself.
  template <typename Visit>
  void for_each(Visit visit);
  /// Calls `visit(key, value)` for each entry, in the order of insertion.
  template <typename Visit>
  void for_each(Visit visit) const;

 private:
  size_t slot_of(const Key& key) const;
  void make_index(size_t count);

  std::vector<std::pair<Key, Value>> entries_;
  // A table of twice as many slots as entries or more. A slot has the entry's place plus one, or 0.
  // An entry is in the slot that its key's hash gives, or in the next free one after it. A short
  // dict leaves the table empty: comparing each entry is faster, and an optimizer's state has
  // thousands of short dicts.
  std::vector<size_t> index_;
};

/// Like a List, but a tuple in Python and in TorchScript.
struct Tuple {
  std::vector<Value> items;  ///< The elements.
};

/// Python's torch.Size: a tensor's shape.
struct Size {
  std::vector<int64_t> sizes;  ///< One for each dimension.
};

/// Python's bytes.
struct Bytes {
  std::string bytes;  ///< The bytes.
};

/// A Python integer that does not fit into 64 bits. The state of Python's random generators has
/// some.
struct BigInt {
  std::string bytes;  ///< Two's complement, the lowest byte first, as few bytes as possible.
};

/// A part of a Python file that is of no other kind here: an object of some class, or the name of a
/// class or function. None of its code was run. It can be read, and its tensors can be used. No
/// format can write it, and it does not convert to another kind.
struct Opaque {
  std::string class_name;  ///< Its class: "argparse.Namespace".
  /// Its parts in the order of the file. First come the arguments for its class, one by one. Then
  /// come the list and the dict of what was put into it, and last its state. Empty where the same
  /// object comes again.
  std::vector<Value> parts;
};

/// A value or a tree of values: what a checkpoint holds, in any file format. Copying a Value copies
/// the tree but shares its tensors, as copying a torch::Tensor does. Not thread-safe.
class TORCH_CHECKPOINT_API Value {
 public:
  /// A list of values, as in Python.
  using List = std::vector<Value>;
  /// What a value can be.
  enum class Kind {
    kNone,     ///< Python's None.
    kBool,     ///< A bool.
    kInt,      ///< An int64_t.
    kDouble,   ///< A double.
    kComplex,  ///< A complex number of doubles.
    kString,   ///< Text.
    kTensor,   ///< A tensor.
    kList,     ///< A list.
    kTuple,    ///< A tuple.
    kDict,     ///< A dict.
    kSize,     ///< A torch.Size. This kind and the next ones come from Python's files.
    kDtype,    ///< A dtype.
    kDevice,   ///< A device.
    kBytes,    ///< Bytes.
    kBigInt,   ///< An integer beyond 64 bits.
    kOpaque    ///< A part of a file that is of no other kind.
  };

  /// @name Constructors
  /// One for each kind.
  /// @{

  /// Makes None, or a value of the kind of the argument.
  Value() = default;
  Value(bool value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(c10::complex<double> value) : data_(std::complex<double>(value)) {}
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
  /// Takes any integer type except bool. Throws Error(invalid_argument) for a number of 2^63 or
  /// more: it would come back negative.
  template <typename T,
            typename = std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>>>
  Value(T value) : data_(static_cast<int64_t>(value)) {
    static_assert(sizeof(T) <= sizeof(int64_t), "a Value holds integers of at most 64 bits");
    if (value > T(0) && static_cast<int64_t>(value) < 0) {
      refuse_integer(static_cast<uint64_t>(value));
    }
  }
  /// @}

  /// Returns what the value is.
  Kind kind() const noexcept { return static_cast<Kind>(data_.index()); }
  /// Returns whether it is None.
  bool is_none() const noexcept { return kind() == Kind::kNone; }
  /// Returns whether it is a tensor.
  bool is_tensor() const noexcept { return kind() == Kind::kTensor; }
  /// Returns whether it is a dict.
  bool is_dict() const noexcept { return kind() == Kind::kDict; }

  /// @name The content
  /// @{

  /// Returns the content. Throws Error(incompatible), naming both kinds, if the value is of another
  /// kind. For an opaque value the error names the class.
  bool to_bool() const;
  int64_t to_int() const;
  double to_double() const;  ///< Also takes an int, if a double can be equal to it.
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
  /// @}

  /// Returns the entry of a dict: `tree["optimizer"]["lr"].to_double()`. Adds nothing. Throws
  /// Error(incompatible) if this is not a dict. Throws Error(not_found), with the nearest key, if
  /// the dict does not have this entry.
  const Value& operator[](const std::string& key) const;
  /// Returns the entry of a dict, as above.
  const Value& operator[](const char* key) const { return (*this)[std::string(key)]; }
  /// Returns the element of a list or tuple, or the entry of a dict with this integer as its key.
  /// Throws Error(incompatible), or Error(not_found) with the size.
  const Value& operator[](int64_t index) const;
  /// Returns an element, as above.
  const Value& operator[](int index) const { return (*this)[static_cast<int64_t>(index)]; }
  /// Returns an element, as above.
  const Value& operator[](size_t index) const { return (*this)[static_cast<int64_t>(index)]; }
  /// Returns whether this is a dict with this entry. Never throws.
  bool contains(const std::string& key) const;

 private:
  [[noreturn]] static void refuse_integer(uint64_t value);

  // In the order of Kind. c10's complex number has a larger alignment, which all would get.
  std::variant<std::monostate, bool, int64_t, double, std::complex<double>, std::string, at::Tensor,
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

/// Returns a kind as error texts and manifests spell it: "int", "tensor", …
TORCH_CHECKPOINT_API const char* to_string(Value::Kind kind) noexcept;
/// Returns the kind of a value. For an opaque value, returns its class: "object of the class
/// 'argparse.Namespace'".
TORCH_CHECKPOINT_API std::string kind_text(const Value& value);

}  // namespace checkpoint
