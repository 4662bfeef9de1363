#pragma once

#include "compat/torch_compat.h"
#include "state/plan/item.h"

#include <torch/optim/schedulers/lr_scheduler.h>

#include <memory>
#include <string>

namespace checkpoint::state {

/// One of LibTorch's own schedulers: its counters are restored, its configuration (step size,
/// factor, patience, …) is recorded and compared. The learning rates are the optimizer's, and come
/// back with it. The scheduler must outlive the item. Throws Error(unsupported) for any other class
/// than StepLR, classes derived from it included.
std::unique_ptr<Item> make_scheduler_item(std::string name, torch::optim::LRScheduler& scheduler);

#if TORCH_CHECKPOINT_HAS_PLATEAU
/// The same; throws Error(unsupported) for a class derived from it.
std::unique_ptr<Item> make_scheduler_item(std::string name,
                                          torch::optim::ReduceLROnPlateauScheduler& scheduler);
#endif

}  // namespace checkpoint::state
