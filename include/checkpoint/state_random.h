#pragma once

#include <cstdint>
#include <istream>
#include <locale>
#include <ostream>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// C++'s own random engines and distributions, as the texts that the standard defines for them. The
/// text holds all of their state. Not for direct use.
namespace checkpoint::internal {

template <typename T, typename = void>
struct HasSeed : std::false_type {};
template <typename T>
struct HasSeed<T, std::void_t<decltype(std::declval<T&>().seed())>> : std::true_type {};

template <typename T, typename = void>
struct HasParam : std::false_type {};
template <typename T>
struct HasParam<T, std::void_t<typename T::param_type>> : std::true_type {};

/// Whether a type is an engine, which has a seed, or a distribution, which has parameters.
/// std::random_device cannot be written as text.
template <typename T, typename = void>
struct IsRandom : std::false_type {};
template <typename T>
struct IsRandom<T, std::void_t<typename T::result_type,
                               decltype(std::declval<std::ostream&>() << std::declval<const T&>()),
                               decltype(std::declval<std::istream&>() >> std::declval<T&>())>>
    : std::bool_constant<HasSeed<T>::value || HasParam<T>::value> {};

/// Returns the text of an engine or a distribution.
template <typename T>
std::string random_text(const T& object) {
  std::ostringstream stream;
  stream.imbue(std::locale::classic());
  stream << object;
  return stream.str();
}

/// Checks the text of an engine. Its last numbers may be indices into the others, which the
/// standard library uses without a check. Removes the engine's own numbers, and returns whether
/// they are valid.
template <typename Engine>
struct EngineText {
  static bool is_sound(std::vector<uint64_t>&) { return true; }
};
template <typename T, size_t w, size_t s, size_t r>
struct EngineText<std::subtract_with_carry_engine<T, w, s, r>> {
  static bool is_sound(std::vector<uint64_t>& numbers) {
    return numbers.size() < r + 2 || numbers.back() < r;  // Some libraries do not write an index.
  }
};
template <typename Base, size_t p, size_t r>
struct EngineText<std::discard_block_engine<Base, p, r>> {
  static bool is_sound(std::vector<uint64_t>& numbers) {
    if (numbers.empty() || numbers.back() > p) return false;
    numbers.pop_back();
    return EngineText<Base>::is_sound(numbers);
  }
};
template <typename Base, size_t w, typename T>
struct EngineText<std::independent_bits_engine<Base, w, T>> : EngineText<Base> {};
template <typename Base, size_t k>
struct EngineText<std::shuffle_order_engine<Base, k>> {
  static bool is_sound(std::vector<uint64_t>& numbers) {
    if (numbers.size() <= k || numbers.back() < Base::min() || numbers.back() > Base::max()) {
      return false;
    }
    numbers.resize(numbers.size() - k - 1);
    return EngineText<Base>::is_sound(numbers);
  }
};

/// Reads the text of an object of this type into `object`. Returns whether the text is valid.
template <typename T>
bool read_random(const std::string& text, T& object) {
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  stream >> object;
  // The stream must be at its end: another engine's text may begin like this one's.
  if (stream.fail() || !(stream >> std::ws).eof()) return false;
  if constexpr (HasSeed<T>::value) {
    std::istringstream again(text);
    again.imbue(std::locale::classic());
    std::vector<uint64_t> numbers;
    for (uint64_t number = 0; again >> number;) numbers.push_back(number);
    return EngineText<T>::is_sound(numbers);
  }
  return true;
}

}  // namespace checkpoint::internal
