#pragma once

// All differences between the versions of LibTorch that this library supports, 1.13 to 2.14.

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>
#include <torch/version.h>

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

/// Returns the key of a parameter.
template <typename Key = StateKey>
Key state_key(const at::Tensor& parameter) {
  if constexpr (std::is_same_v<Key, std::string>) {
    std::ostringstream text;  // As c10::guts::to_string does: "0x55…".
    text << parameter.unsafeGetTensorImpl();
    return text.str();
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
