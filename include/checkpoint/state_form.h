#pragma once

#include <checkpoint/state_random.h>
#include <checkpoint/value.h>

#include <torch/ordered_dict.h>

#include <array>
#include <chrono>
#include <complex>
#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

/// Which kind of value a C++ type becomes in a tree, decided by the compiler. Not for direct use.
namespace checkpoint::internal {

/// Which kind of value a type becomes.
enum class Form {
  kNone,  // A tree cannot hold it.
  kValue,
  kBool,
  kInteger,
  kUnsigned,  // Of 64 bits.
  kReal,
  kLongDouble,
  kComplex,
  kText,
  kTensor,
  kEnum,
  kDuration,
  kOptional,
  kTuple,
  kArray,
  kSequence,
  kSet,
  kMap,
  kOrderedDict,
  kRandom  // An engine or a distribution.
};

/// Whether a type comes from a class template that has only types as parameters.
template <typename T, template <typename...> class Of>
struct IsA : std::false_type {};
template <template <typename...> class Of, typename... Parameters>
struct IsA<Of<Parameters...>, Of> : std::true_type {};
template <typename T, template <typename...> class Of>
constexpr bool kIsA = IsA<T, Of>::value;

template <typename T>
struct IsComplex : std::false_type {};
template <typename T>
struct IsComplex<std::complex<T>>
    : std::bool_constant<std::is_same_v<T, float> || std::is_same_v<T, double>> {};
template <typename T>
struct IsComplex<c10::complex<T>>
    : std::bool_constant<std::is_same_v<T, float> || std::is_same_v<T, double>> {};

template <typename T>
struct IsDuration : std::false_type {};
template <typename Rep, typename Period>
struct IsDuration<std::chrono::duration<Rep, Period>> : std::is_arithmetic<Rep> {};

template <typename T>
struct IsArray : std::false_type {};
template <typename T, size_t n>
struct IsArray<std::array<T, n>> : std::true_type {};

// LibTorch 1.13's c10::optional is not std::optional.
template <typename T, typename = void>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<T,
                  std::void_t<typename T::value_type, decltype(std::declval<T&>().has_value()),
                              decltype(*std::declval<T&>()), decltype(std::declval<T&>().reset())>>
    : std::true_type {};

// A class whose elements are of its own type, as those of a JSON value, is not one.
template <typename T, typename = void>
struct IsSequence : std::false_type {};
template <typename T>
struct IsSequence<
    T, std::void_t<typename T::value_type, decltype(std::declval<const T&>().begin()),
                   decltype(std::declval<T&>().clear()),
                   decltype(std::declval<T&>().push_back(std::declval<typename T::value_type>()))>>
    : std::bool_constant<!std::is_same_v<typename T::value_type, T>> {};

template <typename T, typename = void>
struct HasMapped : std::false_type {};
template <typename T>
struct HasMapped<T, std::void_t<typename T::mapped_type>> : std::true_type {};

// std::multimap, which may hold a key twice, does not have at().
template <typename T, typename = void>
struct IsMap : std::false_type {};
template <typename T>
struct IsMap<
    T, std::void_t<typename T::key_type, typename T::mapped_type,
                   decltype(std::declval<T&>().at(std::declval<const typename T::key_type&>())),
                   decltype(std::declval<const T&>().begin())>>
    : std::bool_constant<!std::is_same_v<typename T::mapped_type, T>> {};

template <typename T, typename = void>
struct IsSet : std::false_type {};
template <typename T>
struct IsSet<
    T, std::void_t<typename T::key_type, decltype(std::declval<const T&>().begin()),
                   decltype(std::declval<T&>().insert(std::declval<typename T::value_type>()))>>
    : std::bool_constant<!HasMapped<T>::value> {};

template <typename T>
constexpr bool kIsOrderedDict =
    std::is_convertible_v<T*, torch::OrderedDict<std::string, at::Tensor>*>;

template <typename T>
constexpr Form arithmetic_form() {
  if constexpr (std::is_same_v<T, bool>) {
    return Form::kBool;
  } else if constexpr (std::is_integral_v<T>) {
    if (sizeof(T) > sizeof(int64_t)) return Form::kNone;
    return std::is_unsigned_v<T> && sizeof(T) == sizeof(int64_t) ? Form::kUnsigned : Form::kInteger;
  } else {
    return std::is_same_v<T, long double> ? Form::kLongDouble : Form::kReal;
  }
}

/// The form of the type itself, whatever its elements are.
template <typename T>
constexpr Form form_of() {
  if constexpr (std::is_arithmetic_v<T>) {
    return arithmetic_form<T>();
  } else if constexpr (std::is_enum_v<T>) {
    return Form::kEnum;
  } else if constexpr (!std::is_class_v<T>) {
    return Form::kNone;
  } else if constexpr (std::is_same_v<T, Value>) {
    return Form::kValue;
  } else if constexpr (std::is_same_v<T, at::Tensor>) {
    return Form::kTensor;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return Form::kText;
  } else if constexpr (IsComplex<T>::value) {
    return Form::kComplex;
  } else if constexpr (IsDuration<T>::value) {
    return Form::kDuration;
  } else if constexpr (IsArray<T>::value) {
    return Form::kArray;
  } else if constexpr (kIsA<T, std::tuple> || kIsA<T, std::pair>) {
    return Form::kTuple;
  } else if constexpr (IsOptional<T>::value) {
    return Form::kOptional;
  } else if constexpr (kIsOrderedDict<T>) {
    return Form::kOrderedDict;
  } else if constexpr (IsSequence<T>::value) {
    return Form::kSequence;
  } else if constexpr (IsMap<T>::value) {
    return Form::kMap;
  } else if constexpr (IsSet<T>::value) {
    return Form::kSet;
  } else if constexpr (IsRandom<T>::value) {
    return Form::kRandom;
  } else {
    return Form::kNone;
  }
}

template <typename T>
constexpr Form kForm = form_of<T>();

/// Whether the type contains others.
template <typename T>
constexpr bool kIsContainer =
    kForm<T> == Form::kOptional || kForm<T> == Form::kTuple || kForm<T> == Form::kArray ||
    kForm<T> == Form::kSequence || kForm<T> == Form::kSet || kForm<T> == Form::kMap;

template <typename T>
constexpr bool is_data();

template <typename T>
struct AreData;
template <typename... T>
struct AreData<std::tuple<T...>> : std::bool_constant<(is_data<T>() && ...)> {};
template <typename First, typename Second>
struct AreData<std::pair<First, Second>>
    : std::bool_constant<is_data<First>() && is_data<Second>()> {};

/// Whether a type can be saved as a tree of values, with everything in it.
template <typename T>
constexpr bool is_data() {
  constexpr Form form = kForm<T>;
  if constexpr (form == Form::kNone || !std::is_default_constructible_v<T>) {
    return false;
  } else if constexpr (form == Form::kOptional) {
    return is_data<typename T::value_type>() && kForm<typename T::value_type> != Form::kOptional;
  } else if constexpr (form == Form::kTuple) {
    return AreData<T>::value;
  } else if constexpr (form == Form::kArray || form == Form::kSequence || form == Form::kSet) {
    return is_data<typename T::value_type>();
  } else if constexpr (form == Form::kMap) {
    return is_data<typename T::key_type>() && is_data<typename T::mapped_type>();
  } else {
    return true;
  }
}

template <typename T>
constexpr bool holds_tensors();

template <typename T>
struct AnyHoldsTensors;
template <typename... T>
struct AnyHoldsTensors<std::tuple<T...>> : std::bool_constant<(holds_tensors<T>() || ...)> {};
template <typename First, typename Second>
struct AnyHoldsTensors<std::pair<First, Second>>
    : std::bool_constant<holds_tensors<First>() || holds_tensors<Second>()> {};

/// Whether objects of a type may contain tensors.
template <typename T>
constexpr bool holds_tensors() {
  constexpr Form form = kForm<T>;
  if constexpr (form == Form::kTuple) {
    return AnyHoldsTensors<T>::value;
  } else if constexpr (form == Form::kMap) {
    return holds_tensors<typename T::key_type>() || holds_tensors<typename T::mapped_type>();
  } else if constexpr (kIsContainer<T>) {
    return holds_tensors<typename T::value_type>();
  } else {
    return form == Form::kTensor || form == Form::kValue || form == Form::kOrderedDict;
  }
}

/// The name of the form in the manifest.
template <typename T>
constexpr const char* form_name() {
  constexpr Form form = kForm<T>;
  if constexpr (form == Form::kOptional) {
    return form_name<typename T::value_type>();
  } else if constexpr (form == Form::kEnum) {
    return form_name<std::underlying_type_t<T>>();
  } else if constexpr (form == Form::kDuration) {
    return form_name<typename T::rep>();
  } else {
    switch (form) {
      case Form::kBool:
        return "bool";
      case Form::kInteger:
      case Form::kUnsigned:
        return "int";
      case Form::kReal:
      case Form::kLongDouble:
        return "double";
      case Form::kComplex:
        return "complex";
      case Form::kText:
      case Form::kRandom:
        return "string";
      case Form::kTensor:
        return "tensor";
      case Form::kTuple:
        return "tuple";
      case Form::kArray:
      case Form::kSequence:
      case Form::kSet:
        return "list";
      case Form::kMap:
      case Form::kOrderedDict:
        return "dict";
      default:
        return "value";
    }
  }
}

/// Whether a dict can have keys of this type. A map with other keys becomes a list of pairs.
template <typename T>
constexpr bool kIsKey = kForm<T> == Form::kText || kForm<T> == Form::kInteger ||
                        kForm<T> == Form::kUnsigned || kForm<T> == Form::kEnum;

}  // namespace checkpoint::internal
