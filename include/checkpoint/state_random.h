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

/// Random engines and distributions of C++'s own, as the texts that the standard defines for them:
/// these say all of their state. Not for direct use.
namespace checkpoint::internal {

template <typename T, typename = void>
struct HasSeed : std::false_type {};
template <typename T>
struct HasSeed<T, std::void_t<decltype(std::declval<T&>().seed())>> : std::true_type {};

template <typename T, typename = void>
struct HasParam : std::false_type {};
template <typename T>
struct HasParam<T, std::void_t<typename T::param_type>> : std::true_type {};

/// An engine has a seed, a distribution has parameters; std::random_device has no text.
template <typename T, typename = void>
struct IsRandom : std::false_type {};
template <typename T>
struct IsRandom<T, std::void_t<typename T::result_type,
                               decltype(std::declval<std::ostream&>() << std::declval<const T&>()),
                               decltype(std::declval<std::istream&>() >> std::declval<T&>())>>
    : std::bool_constant<HasSeed<T>::value || HasParam<T>::value> {};

template <typename T>
std::string random_text(const T& object) {
  std::ostringstream stream;
  stream.imbue(std::locale::classic());
  stream << object;
  return stream.str();
}

/// The last numbers of some engines' texts are indices into the others, which the standard library
/// uses as it finds them. Takes off what is the engine's own, and says whether that is in order.
template <typename Engine>
struct EngineText {
  static bool is_sound(std::vector<uint64_t>&) { return true; }
};
template <typename T, size_t w, size_t s, size_t r>
struct EngineText<std::subtract_with_carry_engine<T, w, s, r>> {
  static bool is_sound(std::vector<uint64_t>& numbers) {
    return numbers.size() < r + 2 || numbers.back() < r;  // Some libraries keep no index.
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

/// Whether `text` is that of an object of this type; then `object` is equal to it.
template <typename T>
bool read_random(const std::string& text, T& object) {
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  stream >> object;
  // Nothing may be left: another engine's text may begin as this one's does.
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
