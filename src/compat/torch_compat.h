#pragma once

// All differences between the versions of LibTorch that this library supports, 1.13 to 2.14.

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>
#include <torch/version.h>

#include <charconv>
#include <cstdint>
#include <iterator>
#include <locale>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

/// Whether LibTorch has ReduceLROnPlateauScheduler, as 2.x does. 1.13 has only StepLR.
#if __has_include(<torch/optim/schedulers/reduce_on_plateau_scheduler.h>)
#include <torch/optim/schedulers/reduce_on_plateau_scheduler.h>
#define TORCH_CHECKPOINT_HAS_PLATEAU 1
#else
#define TORCH_CHECKPOINT_HAS_PLATEAU 0
#endif

namespace checkpoint::compat {

/// The key of a parameter in Optimizer::state(): the TensorImpl's address, as text in 1.13.
using StateMap =
    std::remove_reference_t<decltype(std::declval<torch::optim::Optimizer&>().state())>;
using StateKey = StateMap::key_type;

/// Returns an address as c10::guts::to_string writes it: "0x55…", with the separators of the global
/// locale.
inline std::string address_text(const void* address) {
  if (std::locale() == std::locale::classic() && address != nullptr) {  // A stream takes long.
    char text[2 + 2 * sizeof(uintptr_t)] = {'0', 'x'};
    const auto number = reinterpret_cast<uintptr_t>(address);
    return {text, std::to_chars(text + 2, std::end(text), number, 16).ptr};
  }
  std::ostringstream text;
  text << address;
  return text.str();
}

/// Returns the key of a parameter.
template <typename Key = StateKey>
Key state_key(const at::Tensor& parameter) {
  if constexpr (std::is_same_v<Key, std::string>) {
    return address_text(parameter.unsafeGetTensorImpl());
  } else {
    return parameter.unsafeGetTensorImpl();
  }
}

/// Notes that a tensor's elements have changed, as LibTorch's in-place functions do. A graph that
/// saved the old values then throws in its backward pass.
inline void note_change(const at::Tensor& tensor) {
  if (!tensor.is_inference()) tensor.unsafeGetTensorImpl()->bump_version();
}

/// Returns the LibTorch version that this library was compiled against: "2.14.1".
inline std::string torch_version() { return TORCH_VERSION; }

}  // namespace checkpoint::compat
