#pragma once

#include <checkpoint/export.h>
#include <checkpoint/state_form.h>
#include <checkpoint/state_random.h>
#include <checkpoint/value.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

/// How C++'s own types become trees of values, and come back. State::add takes these types without
/// a wrapper. Not for direct use.
namespace checkpoint::internal {

/// A part of a saved item that does not fit, by its dotted key.
struct Misfit {
  std::string key;
  std::string why;
};

/// A saved value, and its place in its item. The place becomes text only if something does not fit.
/// Made on the stack of the code that reads. What it refers to must outlive it.
class TORCH_CHECKPOINT_API SavedData {
 public:
  /// Refers to a whole item.
  SavedData(const Value& value, const std::string& item, std::vector<Misfit>& misfits)
      : value_(value), item_(&item), misfits_(misfits) {}
  /// Refers to the entry of `above` with this key.
  SavedData(const SavedData& above, const Key& key, const Value& value)
      : value_(value), above_(&above), key_(&key), misfits_(above.misfits_) {}
  /// Refers to the entry of `above` at this index.
  SavedData(const SavedData& above, size_t index, const Value& value)
      : value_(value), above_(&above), index_(index), misfits_(above.misfits_) {}

  const Value& value() const { return value_; }
  Value::Kind kind() const { return value_.kind(); }

  /// Notes that the value does not fit.
  void refuse(const std::string& why) const;
  /// Notes that the value is of another kind: "a list here, and a double saved".
  void refuse_kind(const char* here) const;
  /// Returns whether the value is of this kind. Notes it if not.
  bool is(Value::Kind wanted) const;

  /// Returns the elements of a list or tuple. If the value is neither, or does not have `size`
  /// elements, notes that and returns null.
  const std::vector<Value>* elements(const char* here) const;
  const std::vector<Value>* elements(const char* here, size_t size) const;
  /// Reads an integer within these limits. Like all that follow, notes what does not fit.
  bool read(int64_t& into, int64_t least, int64_t most) const;
  /// Reads an unsigned 64-bit integer. Beyond int64_t it is saved as text.
  bool read(uint64_t& into) const;
  /// Reads a number. An integer must be equal to the double that it becomes.
  bool read(double& into) const;
  /// Reads a number. Beyond double it is saved as text.
  bool read(long double& into) const;

 private:
  std::string text() const;

  const Value& value_;
  const std::string* item_ = nullptr;
  const SavedData* above_ = nullptr;
  const Key* key_ = nullptr;
  size_t index_ = 0;
  std::vector<Misfit>& misfits_;
};

/// Returns the value for a number. If a tree's own numbers cannot hold it, the value is a text.
TORCH_CHECKPOINT_API Value unsigned_value(uint64_t number);
TORCH_CHECKPOINT_API Value long_double_value(long double number);

template <typename T>
Value to_value(const T& object);

template <typename T>
Value tuple_to_value(const T& tuple) {
  return std::apply([](const auto&... item) { return Value(Tuple{{to_value(item)...}}); }, tuple);
}

template <typename T>
Value elements_to_value(const T& elements) {
  Value::List list;
  // By value, because the elements of a std::vector<bool> are not references to bools.
  for (auto&& element : elements) list.push_back(to_value<typename T::value_type>(element));
  return list;
}

template <typename T>
Value map_to_value(const T& map) {
  if constexpr (kIsKey<typename T::key_type>) {
    Dict dict;
    bool all = true;
    for (const auto& [key, value] : map) {
      const Value name = to_value(key);
      if (name.kind() == Value::Kind::kInt) {
        dict.insert(name.to_int(), to_value(value));
      } else if constexpr (kForm<typename T::key_type> == Form::kText) {
        dict.insert(name.to_string(), to_value(value));
      } else {
        all = false;  // A number is too large for a key.
        break;
      }
    }
    if (all) return dict;
  }
  Value::List pairs;
  for (const auto& [key, value] : map) pairs.push_back(Tuple{{to_value(key), to_value(value)}});
  return pairs;
}

/// Returns the tree of an object as it is now.
template <typename T>
Value to_value(const T& object) {
  constexpr Form form = kForm<T>;
  if constexpr (form == Form::kUnsigned) {
    return unsigned_value(object);
  } else if constexpr (form == Form::kReal) {
    return static_cast<double>(object);
  } else if constexpr (form == Form::kLongDouble) {
    return long_double_value(object);
  } else if constexpr (form == Form::kComplex) {
    return c10::complex<double>(object.real(), object.imag());
  } else if constexpr (form == Form::kTensor) {
    return object.defined() ? Value(object) : Value();
  } else if constexpr (form == Form::kEnum) {
    return to_value(static_cast<std::underlying_type_t<T>>(object));
  } else if constexpr (form == Form::kDuration) {
    return to_value(object.count());
  } else if constexpr (form == Form::kOptional) {
    return object.has_value() ? to_value(*object) : Value();
  } else if constexpr (form == Form::kTuple) {
    return tuple_to_value(object);
  } else if constexpr (form == Form::kArray || form == Form::kSequence || form == Form::kSet) {
    return elements_to_value(object);
  } else if constexpr (form == Form::kMap) {
    return map_to_value(object);
  } else if constexpr (form == Form::kOrderedDict) {
    Dict dict;
    for (const auto& item : object) dict.insert(item.key(), to_value(item.value()));
    return dict;
  } else if constexpr (form == Form::kRandom) {
    return random_text(object);
  } else {
    return object;
  }
}

template <typename T>
void from_value(const SavedData& saved, T& object);

template <typename T>
void integer_from_value(const SavedData& saved, T& number) {
  int64_t wide = 0;
  constexpr auto kLeast = static_cast<int64_t>(std::numeric_limits<T>::min());
  constexpr auto kMost = static_cast<int64_t>(std::numeric_limits<T>::max());
  if (saved.read(wide, kLeast, kMost)) number = static_cast<T>(wide);
}

template <typename T>
void real_from_value(const SavedData& saved, T& number) {
  double wide = 0;
  if (!saved.read(wide)) return;
  number = static_cast<T>(wide);
  if (std::isfinite(wide) && !std::isfinite(number)) {
    saved.refuse("a float here, and a double beyond it saved");
  } else if (saved.kind() == Value::Kind::kInt && static_cast<double>(number) != wide) {
    saved.refuse("a float here, and an int saved that no float is equal to");
  }
}

template <typename T>
void complex_from_value(const SavedData& saved, T& number) {
  if (!saved.is(Value::Kind::kComplex)) return;
  const c10::complex<double> wide = saved.value().to_complex();
  using Part = decltype(number.real());
  number = T(static_cast<Part>(wide.real()), static_cast<Part>(wide.imag()));
  if (std::isfinite(wide.real()) != std::isfinite(number.real()) ||
      std::isfinite(wide.imag()) != std::isfinite(number.imag())) {
    saved.refuse("a complex of floats here, and one beyond them saved");
  }
}

template <typename T, size_t... n>
void tuple_from_value(const SavedData& saved, T& tuple, std::index_sequence<n...>) {
  const std::vector<Value>* const items = saved.elements("tuple", sizeof...(n));
  if (items == nullptr) return;
  (from_value(SavedData(saved, n, (*items)[n]), std::get<n>(tuple)), ...);
}

template <typename T>
void array_from_value(const SavedData& saved, T& array) {
  const std::vector<Value>* const items = saved.elements("list", array.size());
  if (items == nullptr) return;
  for (size_t i = 0; i < array.size(); ++i) from_value(SavedData(saved, i, (*items)[i]), array[i]);
}

template <typename T, typename Add>
void elements_from_value(const SavedData& saved, const Add& add) {
  const std::vector<Value>* const items = saved.elements("list");
  if (items == nullptr) return;
  for (size_t i = 0; i < items->size(); ++i) {
    T element{};
    from_value(SavedData(saved, i, (*items)[i]), element);
    add(std::move(element));
  }
}

template <typename T>
void add_entry(const SavedData& key, const SavedData& value, T& map) {
  typename T::key_type live_key{};
  typename T::mapped_type live_value{};
  from_value(key, live_key);
  from_value(value, live_value);
  map.emplace(std::move(live_key), std::move(live_value));
}

template <typename T>
void map_from_value(const SavedData& saved, T& map) {
  if (saved.value().is_dict()) {
    for (const auto& [key, value] : saved.value().dict()) {
      const Value name = std::visit([](const auto& text) { return Value(text); }, key);
      add_entry(SavedData(saved, key, name), SavedData(saved, key, value), map);
    }
    return;
  }
  const std::vector<Value>* const pairs = saved.elements("dict");
  if (pairs == nullptr) return;
  for (size_t i = 0; i < pairs->size(); ++i) {
    const SavedData pair(saved, i, (*pairs)[i]);
    const std::vector<Value>* const halves = pair.elements("tuple", 2);
    if (halves == nullptr) continue;
    add_entry(SavedData(pair, 0, (*halves)[0]), SavedData(pair, 1, (*halves)[1]), map);
  }
}

template <typename T>
void random_from_value(const SavedData& saved, T& object) {
  if (!saved.is(Value::Kind::kString)) return;
  if (!read_random(saved.value().to_string(), object)) {
    saved.refuse(
        "a random engine or distribution here, and a string saved that is not the text of one of "
        "its type");
  }
}

template <typename T>
void ordered_dict_from_value(const SavedData& saved, T& dict) {
  if (!saved.is(Value::Kind::kDict)) return;
  for (const auto& [key, value] : saved.value().dict()) {
    const SavedData entry(saved, key, value);
    if (const auto* const name = std::get_if<std::string>(&key)) {
      at::Tensor tensor;
      from_value(entry, tensor);
      dict.insert(*name, std::move(tensor));
    } else {
      entry.refuse("its key is a string here, and an int saved");
    }
  }
}

template <typename T>
void from_value(const SavedData& saved, T& object) {
  constexpr Form form = kForm<T>;
  if constexpr (form == Form::kValue) {
    object = saved.value();
  } else if constexpr (form == Form::kBool) {
    if (saved.is(Value::Kind::kBool)) object = saved.value().to_bool();
  } else if constexpr (form == Form::kInteger) {
    integer_from_value(saved, object);
  } else if constexpr (form == Form::kUnsigned) {
    uint64_t number = 0;
    if (saved.read(number)) object = static_cast<T>(number);
  } else if constexpr (form == Form::kReal) {
    real_from_value(saved, object);
  } else if constexpr (form == Form::kLongDouble) {
    saved.read(object);
  } else if constexpr (form == Form::kComplex) {
    complex_from_value(saved, object);
  } else if constexpr (form == Form::kText) {
    if (saved.is(Value::Kind::kString)) object = saved.value().to_string();
  } else if constexpr (form == Form::kTensor) {
    if (saved.value().is_none()) {
      object = at::Tensor();
    } else if (saved.is(Value::Kind::kTensor)) {
      object = saved.value().to_tensor();
    }
  } else if constexpr (form == Form::kEnum) {
    std::underlying_type_t<T> number{};
    from_value(saved, number);
    object = static_cast<T>(number);
  } else if constexpr (form == Form::kDuration) {
    typename T::rep count{};
    from_value(saved, count);
    object = T(count);
  } else if constexpr (form == Form::kOptional) {
    object.reset();
    if (saved.value().is_none()) return;
    typename T::value_type content{};
    from_value(saved, content);
    object = std::move(content);
  } else if constexpr (form == Form::kTuple) {
    tuple_from_value(saved, object, std::make_index_sequence<std::tuple_size_v<T>>());
  } else if constexpr (form == Form::kArray) {
    array_from_value(saved, object);
  } else if constexpr (form == Form::kSequence) {
    elements_from_value<typename T::value_type>(
        saved, [&](auto&& element) { object.push_back(std::move(element)); });
  } else if constexpr (form == Form::kSet) {
    elements_from_value<typename T::value_type>(
        saved, [&](auto&& element) { object.insert(std::move(element)); });
  } else if constexpr (form == Form::kMap) {
    map_from_value(saved, object);
  } else if constexpr (form == Form::kOrderedDict) {
    ordered_dict_from_value(saved, object);
  } else {
    static_assert(form == Form::kRandom);
    random_from_value(saved, object);
  }
}

template <typename T, typename = void>
struct HasCompare : std::false_type {};
template <typename T>
struct HasCompare<T, std::void_t<decltype(T(std::declval<const T&>().key_comp()))>>
    : std::true_type {};
template <typename T, typename = void>
struct HasHash : std::false_type {};
template <typename T>
struct HasHash<T, std::void_t<decltype(T(size_t{}, std::declval<const T&>().hash_function(),
                                         std::declval<const T&>().key_eq()))>> : std::true_type {};

/// Makes an empty object. It takes the live one's place later, so it compares and hashes as that
/// does.
template <typename T>
std::shared_ptr<T> empty_like(const T& live) {
  if constexpr (HasCompare<T>::value) {
    return std::make_shared<T>(live.key_comp());
  } else if constexpr (HasHash<T>::value) {
    return std::make_shared<T>(0, live.hash_function(), live.key_eq());
  } else {
    return std::make_shared<T>();
  }
}

/// Reads and writes a live object, which must outlive this.
struct LiveData {
  std::function<Value()> read;
  /// Makes a copy of the saved data apart from the live object. Returns a function that moves the
  /// copy into that object and cannot fail.
  std::function<std::function<void()>(const SavedData&)> prepare;
  const char* type;
  bool may_hold_tensors;
};

template <typename T>
LiveData live_data(T& object) {
  const auto read = [&object] { return to_value(object); };
  const auto prepare = [&object](const SavedData& saved) -> std::function<void()> {
    std::shared_ptr<T> fresh = empty_like(object);
    from_value(saved, *fresh);
    return [&object, fresh] { object = std::move(*fresh); };
  };
  return {read, prepare, form_name<T>(), holds_tensors<T>()};
}

template <typename T>
LiveData live_data(std::atomic<T>& object) {
  const auto read = [&object] { return to_value(object.load()); };
  const auto prepare = [&object](const SavedData& saved) -> std::function<void()> {
    T fresh{};
    from_value(saved, fresh);
    return [&object, fresh] { object.store(fresh); };
  };
  return {read, prepare, form_name<T>(), holds_tensors<T>()};
}

/// Whether State::add takes a type through live_data.
template <typename T>
constexpr bool is_live_data() {
  if constexpr (kIsA<T, std::atomic>) {
    return is_data<decltype(std::declval<T&>().load())>();
  } else {
    return is_data<T>();
  }
}

}  // namespace checkpoint::internal
