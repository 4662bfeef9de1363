#pragma once

#include <checkpoint/export.h>
#include <checkpoint/shard.h>
#include <checkpoint/state_data.h>
#include <checkpoint/state_refusal.h>
#include <checkpoint/value.h>

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/schedulers/lr_scheduler.h>
#include <torch/serialize/archive.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace torch::optim {
class ReduceLROnPlateauScheduler;  // LibTorch 1.13 does not have it.
}  // namespace torch::optim

namespace checkpoint {

class ResumableSampler;

namespace internal {
struct StateAccess;

template <typename T>
struct IsSharedPtr : std::false_type {};
template <typename T>
struct IsSharedPtr<std::shared_ptr<T>> : std::true_type {};

template <typename T>
constexpr bool kIsModuleHolder = std::is_base_of_v<torch::detail::ModuleHolderIndicator, T>;

// Whether it has `save(OutputArchive&) const` and `load(InputArchive&)`.
template <typename T, typename = void>
struct HasSaveLoad : std::false_type {};
template <typename T>
struct HasSaveLoad<T, std::void_t<decltype(std::declval<const T&>().save(
                                      std::declval<torch::serialize::OutputArchive&>())),
                                  decltype(std::declval<T&>().load(
                                      std::declval<torch::serialize::InputArchive&>()))>>
    : std::true_type {};

// Compares pointers, which needs no definition of a base class that this LibTorch may not have.
template <typename T>
constexpr bool kIsScheduler = std::is_convertible_v<T*, torch::optim::LRScheduler*> ||
                              std::is_convertible_v<T*, torch::optim::ReduceLROnPlateauScheduler*>;

template <typename T, typename = void>
struct HasStateDict : std::false_type {};
template <typename T>
struct HasStateDict<
    T, std::void_t<decltype(Value(std::declval<const T&>().state_dict())),
                   decltype(std::declval<T&>().load_state_dict(std::declval<const Value&>()))>>
    : std::true_type {};

/// A C++ number type: the range that it can hold, and its name in errors.
struct NumberType {
  const char* name;
  int bits;
  bool is_signed;
  bool is_real;
};

template <typename T>
constexpr NumberType number_type() {
  constexpr int kBits = static_cast<int>(sizeof(T)) * 8;
  if constexpr (std::is_same_v<T, float>) {
    return {"float", kBits, true, true};
  } else if constexpr (std::is_same_v<T, double>) {
    return {"double", kBits, true, true};
  } else if constexpr (std::is_same_v<T, long double>) {
    return {"long double", kBits, true, true};
  } else {
    constexpr bool kSigned = std::is_signed_v<T>;
    constexpr const char* kSignedNames[] = {"int8_t", "int16_t", "int32_t", "int64_t"};
    constexpr const char* kUnsignedNames[] = {"uint8_t", "uint16_t", "uint32_t", "uint64_t"};
    constexpr int kPlace = kBits == 8 ? 0 : kBits == 16 ? 1 : kBits == 32 ? 2 : 3;
    return {kSigned ? kSignedNames[kPlace] : kUnsignedNames[kPlace], kBits, kSigned, false};
  }
}
}  // namespace internal

/// With several ranks: marks an item of which each rank has one of its own, which each saves and
/// restores for itself. Without it, an item is the same on all ranks and saved once.
struct PerRank {};

/// The live objects of a training run, by name, in the order in which they were added. A State
/// refers to them and copies nothing: the objects must outlive every call that uses the State. It
/// keeps objects alive that are given by holder or shared_ptr. Not thread-safe.
///
/// Item names are the top-level keys of a checkpoint. `add` throws Error(invalid_argument) for a
/// name that is empty, used twice, or one of "epoch", "loss", "step", "rng". With Format::kArchive
/// a name must also be one that TorchScript can read back: not a keyword, without quotes,
/// backslashes and line ends. Otherwise the manager's first save throws Error(unsupported) and
/// names the item.
class TORCH_CHECKPOINT_API State {
 public:
  State();                             ///< Makes one with the random generators and no other item.
  State(State&&) noexcept;             ///< Takes over the items.
  State& operator=(State&&) noexcept;  ///< Takes over the items.
  ~State();

  /// Adds an object under `name`:
  ///
  /// - an nn::Module, its holder (Linear, …) or a std::shared_ptr to one: its parameters and
  ///   buffers, and what a submodule adds by a `save` and `load` of its own;
  /// - an optimizer, LibTorch's or of a class of your own with `save` and `load`;
  /// - a scheduler of LibTorch's own: StepLR, ReduceLROnPlateauScheduler;
  /// - a torch::jit::Module: its tensors and other attributes, but not its code (`save_script`
  ///   saves that);
  /// - a value (any arithmetic type, std::string, torch::Tensor, Value), which each save reads and
  ///   each restore writes;
  /// - an enum, std::complex, std::chrono::duration, std::atomic, std::mt19937 and C++'s other
  ///   random engines and distributions;
  /// - std::optional, std::pair, std::tuple, std::array and containers (std::vector, std::deque,
  ///   std::set, std::map, std::unordered_map, …) of values and of each other. Tensors in them are
  ///   new ones after a restore, except leaves that require gradients;
  /// - any other object, for instance a ResumableSampler, with
  ///
  ///       checkpoint::Value state_dict() const;                  // what it is now
  ///       void load_state_dict(const checkpoint::Value& saved);  // throws if that does not fit
  ///
  ///   load_state_dict gets its tensors in new memory, which the object may keep. map_location
  ///   says on which device. Without it, they are where the tensor at the same place of its
  ///   state_dict is now, or on the CPU;
  /// - any other object with `save(torch::serialize::OutputArchive&) const` and
  ///   `load(torch::serialize::InputArchive&)`, for instance LibTorch's samplers.
  ///
  /// Each save calls your own `save` or `state_dict`. Each restore calls it too, before it changes
  /// anything, so that it can be undone. Your own `load` or `load_state_dict` may throw. Then
  /// everything is as it was.
  template <typename T>
  State& add(std::string name, T&& object) {
    using Plain = std::remove_cv_t<std::remove_reference_t<T>>;
    if constexpr (internal::kIsModuleHolder<Plain>) {
      return add_module(std::move(name), object.is_empty() ? nullptr : object.ptr());
    } else if constexpr (std::is_convertible_v<const Plain&, std::shared_ptr<torch::nn::Module>>) {
      return add_module(std::move(name), object);
    } else if constexpr (internal::IsSharedPtr<Plain>::value) {
      if (!object) refuse_null(name);
      add(std::move(name), *object);
      return keep_alive(object);
    } else if constexpr (internal::kIsHandle<Plain>) {
      internal::refuse_handle<Plain>();
      return *this;
    } else if constexpr (!std::is_lvalue_reference_v<T>) {
      static_assert(internal::kAlwaysFalse<T>,
                    "State::add keeps a reference: pass an object that outlives the State");
      return *this;
    } else if constexpr (std::is_const_v<std::remove_reference_t<T>>) {
      static_assert(internal::kAlwaysFalse<T>,
                    "State::add restores into the object: it must not be const");
      return *this;
    } else {
      if constexpr (std::is_base_of_v<torch::nn::Module, Plain>) {
        return add_module(std::move(name), borrow(object));
      } else if constexpr (std::is_base_of_v<torch::optim::Optimizer, Plain>) {
        return add_optimizer(std::move(name), object);
      } else if constexpr (std::is_base_of_v<torch::jit::Module, Plain>) {
        return add_script(std::move(name), object);
      } else if constexpr (internal::kIsScheduler<Plain> && !internal::HasStateDict<Plain>::value) {
        return add_scheduler(std::move(name), object);
      } else if constexpr (std::is_same_v<Plain, bool>) {
        return add_value(
            std::move(name), Value::Kind::kBool, [&object] { return Value(object); },
            [&object](const Value& value) { object = value.to_bool(); });
      } else if constexpr (std::is_integral_v<Plain>) {
        return add_integer(std::move(name), object);
      } else if constexpr (std::is_same_v<Plain, long double>) {
        return add_long_double(std::move(name), object);
      } else if constexpr (std::is_floating_point_v<Plain>) {
        return add_number(
            std::move(name), internal::number_type<Plain>(),
            [&object] { return Value(static_cast<double>(object)); },
            [&object](const Value& value) { object = static_cast<Plain>(value.to_double()); });
      } else if constexpr (std::is_same_v<Plain, std::string>) {
        return add_value(
            std::move(name), Value::Kind::kString, [&object] { return Value(object); },
            [&object](const Value& value) { object = value.to_string(); });
      } else if constexpr (std::is_same_v<Plain, at::Tensor>) {
        return add_tensor(std::move(name), object);
      } else if constexpr (std::is_same_v<Plain, Value>) {
        return add_tree(std::move(name), object);
      } else if constexpr (std::is_same_v<Plain, ResumableSampler>) {
        return add_sampler(std::move(name), object);
      } else if constexpr (internal::HasStateDict<Plain>::value) {
        return add_object(
            std::move(name), [&object] { return Value(std::as_const(object).state_dict()); },
            [&object](const Value& saved) { object.load_state_dict(saved); });
      } else if constexpr (internal::HasSaveLoad<Plain>::value) {
        return add_archived(
            std::move(name), typeid(object),
            [&object](torch::serialize::OutputArchive& archive) {
              static_cast<const Plain&>(object).save(archive);
            },
            [&object](torch::serialize::InputArchive& archive) { object.load(archive); });
      } else if constexpr (internal::is_live_data<Plain>()) {
        return add_data(std::move(name), internal::live_data(object));
      } else {
        internal::refuse<Plain>();
        return *this;
      }
    }
  }

  /// Adds an object of which each rank has one of its own (docs/distributed.md).
  template <typename T>
  State& add(std::string name, T&& object, PerRank) {
    add(name, std::forward<T>(object));
    return make_per_rank(name);
  }

  /// Says that a tensor of the State is a part of a larger one, whose other parts other ranks hold.
  /// A save writes each part once. It throws Error(incompatible) if the parts do not cover the
  /// whole, or if two overlap; Error(invalid_argument) if no item of the State holds the tensor. A
  /// restore gives each rank its own part, however the tensor was divided when it was saved. What
  /// LibTorch's optimizers keep for a parameter is divided as the parameter is. Throws
  /// Error(invalid_argument) if the part does not lie in the whole. docs/distributed.md.
  State& shard(Shard shard);

  /// Sets whether the random generators are saved too: the CPU's, and those of every device in
  /// use that has one. Each rank saves its own. Default: true.
  State& rng(bool value);
  /// Returns the items' names, in the order in which they were added.
  std::vector<std::string> names() const;

 private:
  friend struct internal::StateAccess;
  struct Impl;

  // Returns a pointer that does not own the module.
  static std::shared_ptr<torch::nn::Module> borrow(torch::nn::Module& module) {
    return std::shared_ptr<torch::nn::Module>(std::shared_ptr<void>(), &module);
  }

  template <typename T>
  State& add_integer(std::string name, T& object) {
    static_assert(sizeof(T) <= sizeof(int64_t), "State::add takes integers of at most 64 bits");
    if constexpr (std::is_unsigned_v<T> && sizeof(T) == sizeof(int64_t)) {
      return add_unsigned(
          std::move(name), [&object] { return static_cast<uint64_t>(object); },
          [&object](uint64_t value) { object = static_cast<T>(value); });
    } else {
      return add_number(
          std::move(name), internal::number_type<T>(), [&object] { return Value(object); },
          [&object](const Value& value) { object = static_cast<T>(value.to_int()); });
    }
  }

  State& add_module(std::string name, std::shared_ptr<torch::nn::Module> module);
  State& add_optimizer(std::string name, torch::optim::Optimizer& optimizer);
  State& add_script(std::string name, torch::jit::Module& module);
  State& add_archived(std::string name, const std::type_info& type,
                      std::function<void(torch::serialize::OutputArchive&)> save,
                      std::function<void(torch::serialize::InputArchive&)> load);
  State& add_scheduler(std::string name, torch::optim::LRScheduler& scheduler);
  State& add_scheduler(std::string name, torch::optim::ReduceLROnPlateauScheduler& scheduler);
  State& add_sampler(std::string name, ResumableSampler& sampler);
  State& add_object(std::string name, std::function<Value()> read,
                    std::function<void(const Value&)> write);
  State& add_value(std::string name, Value::Kind kind, std::function<Value()> read,
                   std::function<void(const Value&)> write);
  // Calls `write` only with a value that fits the type.
  State& add_number(std::string name, internal::NumberType type, std::function<Value()> read,
                    std::function<void(const Value&)> write);
  // A number beyond int64_t or double is saved as text.
  State& add_unsigned(std::string name, std::function<uint64_t()> read,
                      std::function<void(uint64_t)> write);
  State& add_long_double(std::string name, long double& number);
  State& add_tensor(std::string name, at::Tensor& tensor);
  State& add_tree(std::string name, Value& value);
  State& add_data(std::string name, internal::LiveData data);
  State& keep_alive(std::shared_ptr<const void> object);
  State& make_per_rank(const std::string& name);
  [[noreturn]] static void refuse_null(const std::string& name);

  std::unique_ptr<Impl> impl_;
};

}  // namespace checkpoint
