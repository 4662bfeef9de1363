#pragma once

// LibTorch's schedulers have no save or load, and keep all that they are in protected and private
// members. An explicit template instantiation may name such members ([temp.spec.general]/6): each
// one below hands a pointer to its member to a friend function that can be called from outside,
// with no copy of the class's layout and no undefined behaviour. If a LibTorch renames a member,
// this file no longer compiles, which is the point: nothing is guessed.
//
// All of it is in the one source file that includes it: `object.*reach(Tag())` is the member.

#include "state/torch_compat.h"

#include <torch/optim/schedulers/step_lr.h>

#include <vector>

namespace checkpoint::state {
namespace {

template <typename Tag, typename Tag::Pointer member>
struct Opened {
  friend typename Tag::Pointer reach(Tag) { return member; }
};

#define CHECKPOINT_OPEN(Tag, Class, Type, member) \
  struct Tag {                                    \
    using Pointer = Type Class::*;                \
    friend Pointer reach(Tag);                    \
  };                                              \
  template struct Opened<Tag, &Class::member>;

CHECKPOINT_OPEN(StepCount, torch::optim::LRScheduler, unsigned, step_count_)
CHECKPOINT_OPEN(StepSize, torch::optim::StepLR, const unsigned, step_size_)
CHECKPOINT_OPEN(Gamma, torch::optim::StepLR, const double, gamma_)

#if TORCH_CHECKPOINT_HAS_PLATEAU
using Plateau = torch::optim::ReduceLROnPlateauScheduler;
CHECKPOINT_OPEN(PlateauMode, Plateau, Plateau::SchedulerMode, mode)
CHECKPOINT_OPEN(PlateauFactor, Plateau, float, factor)
CHECKPOINT_OPEN(PlateauPatience, Plateau, int, patience)
CHECKPOINT_OPEN(PlateauThreshold, Plateau, double, threshold)
CHECKPOINT_OPEN(PlateauThresholdMode, Plateau, Plateau::ThresholdMode, threshold_mode)
CHECKPOINT_OPEN(PlateauCooldown, Plateau, int, cooldown)
CHECKPOINT_OPEN(PlateauCooldownCounter, Plateau, int, cooldown_counter)
CHECKPOINT_OPEN(PlateauMinLrs, Plateau, std::vector<float>, min_lrs)
CHECKPOINT_OPEN(PlateauEps, Plateau, double, eps)
CHECKPOINT_OPEN(PlateauBest, Plateau, float, best)
CHECKPOINT_OPEN(PlateauLastEpoch, Plateau, int, last_epoch)
CHECKPOINT_OPEN(PlateauBadEpochs, Plateau, int, num_bad_epochs)
#endif

#undef CHECKPOINT_OPEN

}  // namespace
}  // namespace checkpoint::state
