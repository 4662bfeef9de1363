#pragma once

#include "compat/torch_compat.h"
#include "state/plan/item.h"

#include <torch/optim/schedulers/lr_scheduler.h>

#include <memory>
#include <string>

namespace checkpoint::state {

/// Makes the item for one of LibTorch's own schedulers. A restore sets its counters, and compares
/// its configuration (step size, factor, patience, …). The learning rates belong to the optimizer,
/// and come back with it. The scheduler must outlive the item. Throws Error(unsupported) for any
/// class but StepLR, also for classes derived from it.
std::unique_ptr<Item> make_scheduler_item(std::string name, torch::optim::LRScheduler& scheduler);

#if TORCH_CHECKPOINT_HAS_PLATEAU
/// Does the same. Throws Error(unsupported) for a class derived from it.
std::unique_ptr<Item> make_scheduler_item(std::string name,
                                          torch::optim::ReduceLROnPlateauScheduler& scheduler);
#endif

}  // namespace checkpoint::state
