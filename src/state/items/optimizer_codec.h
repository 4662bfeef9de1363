#pragma once

#include "state/items/optimizer_place.h"
#include "state/plan/restore_plan.h"

#include <checkpoint/value.h>

#include <torch/optim/optimizer.h>

#include <memory>
#include <string>

namespace checkpoint::state {

/// Converts the options and the parameters' states of one class of optimizers to a tree and back.
class OptimizerCodec {
 public:
  using Options = torch::optim::OptimizerOptions;
  using ParamState = torch::optim::OptimizerParamState;

  virtual ~OptimizerCodec() = default;
  /// Returns the class's name: "Adam".
  virtual const char* type() const = 0;
  /// Returns whether the optimizer is exactly of this class.
  virtual bool is_class_of(const torch::optim::Optimizer& optimizer) const = 0;
  /// Returns whether the optimizer is of this class, or derived from it without overriding `save`
  /// or `load`.
  virtual bool saves(const torch::optim::Optimizer& optimizer) const = 0;
  /// Returns whether the state is one flat vector over all parameters, so that their order matters.
  virtual bool is_flat() const { return false; }
  virtual Value capture_options(const Options& options) const = 0;
  virtual Value capture_state(const ParamState& state) const = 0;
  /// Plans to set the live options to what was saved. `place`: see OptimizerPlace.
  virtual void plan_options(const Value& saved, Options& live, OptimizerPlace place,
                            RestorePlan& plan) const = 0;
  /// Returns a state made from what was saved, with its tensors planned for `parameter`'s device.
  /// Reuses the tensors of `live`, which may be null, if they fit. Returns null if the saved state
  /// does not fit; the plan's report then says why.
  virtual std::unique_ptr<ParamState> plan_state(const Value& saved, const ParamState* live,
                                                 const at::Tensor& parameter, OptimizerPlace place,
                                                 RestorePlan& plan) const = 0;
};

/// Returns the codec of the optimizer's exact class, or null. A class derived from one of
/// LibTorch's gets null, because it may hold more than the codec knows. The codec lives as long as
/// the process.
const OptimizerCodec* find_codec(const torch::optim::Optimizer& optimizer);

/// Returns the codec of the LibTorch class from which the optimizer's class is derived. Returns
/// null if the derived class overrides `save` or `load`, because it may then save more.
const OptimizerCodec* find_base_codec(const torch::optim::Optimizer& optimizer);

}  // namespace checkpoint::state
