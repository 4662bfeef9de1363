#pragma once

#include "state/plan/restore_plan.h"

#include <checkpoint/value.h>

#include <torch/optim/optimizer.h>

#include <memory>
#include <string>

namespace checkpoint::state {

/// One class of optimizer: its options and its parameters' state, to a tree and back.
class OptimizerCodec {
 public:
  using Options = torch::optim::OptimizerOptions;
  using ParamState = torch::optim::OptimizerParamState;

  virtual ~OptimizerCodec() = default;
  /// "Adam".
  virtual const char* type() const = 0;
  /// Whether it is exactly of this class.
  virtual bool is_class_of(const torch::optim::Optimizer& optimizer) const = 0;
  /// Whether this class's own `save` and `load` are those that it is saved and loaded by.
  virtual bool saves(const torch::optim::Optimizer& optimizer) const = 0;
  /// Whether the state is one flat vector over all parameters, so that their order carries meaning.
  virtual bool is_flat() const { return false; }
  virtual Value capture_options(const Options& options) const = 0;
  virtual Value capture_state(const ParamState& state) const = 0;
  /// Plans to set the live options to what was saved.
  virtual void plan_options(const Value& saved, Options& live, const std::string& path,
                            RestorePlan& plan) const = 0;
  /// A state made from what was saved, its tensors planned for `parameter`'s device; it reuses the
  /// tensors of `live` (which may be null) where they fit. Null if it does not fit; the plan's
  /// report then says why.
  virtual std::unique_ptr<ParamState> plan_state(const Value& saved, const ParamState* live,
                                                 const at::Tensor& parameter,
                                                 const std::string& path,
                                                 RestorePlan& plan) const = 0;
};

/// The codec of the optimizer's exact class, or null: a class derived from one of LibTorch's may
/// hold more than these codecs know. Lives as long as the process.
const OptimizerCodec* find_codec(const torch::optim::Optimizer& optimizer);

/// The codec of the one of LibTorch's classes that the optimizer's class is derived from, if it
/// saves and loads by that one's own functions, and so nothing more; else null.
const OptimizerCodec* find_base_codec(const torch::optim::Optimizer& optimizer);

}  // namespace checkpoint::state
