#pragma once

#include <checkpoint/state_data.h>

#include <torch/nn/module.h>
#include <torch/nn/modules/container/any.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize/archive.h>

#include <functional>
#include <memory>
#include <random>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

/// The compiler's errors for an argument that State::add does not take. Each is one sentence that
/// says what to write instead. Not for direct use.
namespace checkpoint::internal {

template <typename>
constexpr bool kAlwaysFalse = false;

/// Whether a type is a text that cannot be written to.
template <typename T>
constexpr bool kIsFixedText =
    std::is_same_v<T, std::string_view> ||
    std::is_same_v<std::remove_cv_t<std::remove_pointer_t<std::decay_t<T>>>, char>;

/// Whether a type refers to an object, and is not the object itself.
template <typename T>
constexpr bool kIsHandle = kIsA<T, std::unique_ptr> || kIsA<T, std::weak_ptr> ||
                           kIsA<T, std::reference_wrapper> || std::is_pointer_v<std::decay_t<T>> ||
                           std::is_same_v<T, torch::nn::AnyModule> ||
                           (kIsFixedText<T> && !std::is_arithmetic_v<T>);

/// Gives the error for a handle: what to pass instead.
template <typename T>
constexpr void refuse_handle() {
  if constexpr (std::is_same_v<T, torch::nn::AnyModule>) {
    static_assert(kAlwaysFalse<T>, "State::add: pass any_module.ptr(), not the AnyModule");
  } else if constexpr (kIsA<T, std::weak_ptr>) {
    static_assert(kAlwaysFalse<T>, "State::add: pass pointer.lock(), not the std::weak_ptr");
  } else if constexpr (kIsA<T, std::reference_wrapper>) {
    static_assert(kAlwaysFalse<T>, "State::add: pass reference.get(), not the reference_wrapper");
  } else if constexpr (kIsFixedText<T>) {
    static_assert(kAlwaysFalse<T>,
                  "State::add: pass a std::string, which a restore can write to, not a fixed text");
  } else if constexpr (std::is_array_v<T>) {
    static_assert(kAlwaysFalse<T>, "State::add: write std::array<T, n> instead of T[n]");
  } else if constexpr (std::is_function_v<T>) {
    static_assert(kAlwaysFalse<T>, "State::add: a function has no state that could be saved");
  } else {
    using Pointee = typename std::pointer_traits<T>::element_type;
    if constexpr (std::is_convertible_v<Pointee*, const torch::optim::Optimizer*>) {
      static_assert(kAlwaysFalse<T>,
                    "State::add: pass *optimizer, not the pointer to it, and let it outlive the "
                    "State");
    } else if constexpr (std::is_convertible_v<Pointee*, const torch::nn::Module*>) {
      static_assert(kAlwaysFalse<T>,
                    "State::add: pass *module, not the pointer to it, and let it outlive the "
                    "State");
    } else {
      static_assert(kAlwaysFalse<T>,
                    "State::add: pass *pointer, not the pointer, and let the object outlive the "
                    "State");
    }
  }
}

template <typename T, typename = void>
struct HasSomeStateDict : std::false_type {};
template <typename T>
struct HasSomeStateDict<T, std::void_t<decltype(std::declval<T&>().state_dict())>>
    : std::true_type {};
template <typename T, typename = void>
struct HasSomeLoadStateDict : std::false_type {};
template <typename T>
struct HasSomeLoadStateDict<
    T, std::void_t<decltype(std::declval<T&>().load_state_dict(std::declval<Value&>()))>>
    : std::true_type {};
template <typename T, typename = void>
struct HasSomeSave : std::false_type {};
template <typename T>
struct HasSomeSave<T, std::void_t<decltype(std::declval<T&>().save(
                          std::declval<torch::serialize::OutputArchive&>()))>> : std::true_type {};
template <typename T, typename = void>
struct HasSomeLoad : std::false_type {};
template <typename T>
struct HasSomeLoad<T, std::void_t<decltype(std::declval<T&>().load(
                          std::declval<torch::serialize::InputArchive&>()))>> : std::true_type {};

template <typename T, typename = void>
struct IsTimePoint : std::false_type {};
template <typename T>
struct IsTimePoint<T, std::void_t<typename T::clock, typename T::duration,
                                  decltype(std::declval<const T&>().time_since_epoch())>>
    : std::true_type {};

// Whether a type is a std::queue, std::stack or std::priority_queue.
template <typename T, typename = void>
struct IsAdaptor : std::false_type {};
template <typename T>
struct IsAdaptor<T, std::void_t<typename T::container_type, typename T::value_type>>
    : std::true_type {};

template <typename T, typename = void>
struct HasElements : std::false_type {};
template <typename T>
struct HasElements<T,
                   std::void_t<typename T::value_type, decltype(std::declval<const T&>().begin())>>
    : std::true_type {};

template <typename T>
constexpr bool is_nested_optional() {
  if constexpr (kForm<T> == Form::kOptional) {
    return kForm<typename T::value_type> == Form::kOptional;
  } else {
    return false;
  }
}

/// Gives the error for a container: which ones are allowed, and what they may hold.
template <typename T>
constexpr void refuse_container() {
  if constexpr (is_nested_optional<T>()) {
    static_assert(kAlwaysFalse<T>,
                  "State::add: use one std::optional: an empty one inside another cannot be "
                  "distinguished from "
                  "an empty outer one");
  } else if constexpr (HasMapped<T>::value && kForm<T> == Form::kNone) {
    static_assert(kAlwaysFalse<T>,
                  "State::add: use a std::map of std::vectors: a dict cannot hold a key twice");
  } else {
    static_assert(kAlwaysFalse<T>,
                  "State::add: a container may hold numbers, enums, texts, tensors, "
                  "checkpoint::Value and containers of these: add modules, optimizers and other "
                  "objects one by one, each under a name of its own");
  }
}

/// Gives the error for an object: what its class must have.
template <typename T>
constexpr void refuse() {
  if constexpr (std::is_same_v<T, std::random_device>) {
    static_assert(kAlwaysFalse<T>,
                  "State::add: use std::mt19937: a std::random_device has no state that could be "
                  "saved");
  } else if constexpr (kIsA<T, std::variant>) {
    static_assert(
        kAlwaysFalse<T>,
        "State::add: use a checkpoint::Value, which holds a value of any kind, instead of "
        "a std::variant");
  } else if constexpr (IsTimePoint<T>::value) {
    static_assert(kAlwaysFalse<T>,
                  "State::add: keep a std::chrono::duration, time.time_since_epoch(), instead of a "
                  "point in time");
  } else if constexpr (HasSomeStateDict<T>::value || HasSomeLoadStateDict<T>::value) {
    static_assert(kAlwaysFalse<T>,
                  "State::add: the class must have both `checkpoint::Value state_dict() const` and "
                  "`void load_state_dict(const checkpoint::Value&)`");
  } else if constexpr (HasSomeSave<T>::value || HasSomeLoad<T>::value) {
    static_assert(
        kAlwaysFalse<T>,
        "State::add: the class must have both `void save(torch::serialize::OutputArchive&) "
        "const` and `void load(torch::serialize::InputArchive&)`");
  } else if constexpr (IsAdaptor<T>::value) {
    static_assert(kAlwaysFalse<T>,
                  "State::add: use a std::deque or std::vector: a std::queue, std::stack or "
                  "std::priority_queue hides its elements");
  } else if constexpr (kIsContainer<T> || HasElements<T>::value) {
    refuse_container<T>();
  } else {
    static_assert(
        kAlwaysFalse<T>,
        "State::add takes modules, optimizers, schedulers, torch::jit::Module, numbers, enums, "
        "texts, tensors, checkpoint::Value, containers of these, random engines, and objects with "
        "`checkpoint::Value state_dict() const` and `void load_state_dict(const "
        "checkpoint::Value&)`, or `void save(torch::serialize::OutputArchive&) const` and `void "
        "load(torch::serialize::InputArchive&)`");
  }
}

}  // namespace checkpoint::internal
