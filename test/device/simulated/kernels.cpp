// All operations that have no kernel of their own: the CPU's kernel is run on the memory behind.
//
//   what only writes into tensors that exist   is queued on the current stream
//   what makes new tensors                     waits for the stream first, because the sizes of the
//                                              results must be known; their elements come into the
//                                              device's memory in the stream's order, later

#include "device/simulated/torch.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace simulated {
namespace {

const c10::DispatchKeySet kCpu(c10::DispatchKey::CPU);

// They write into their argument, and change its shape.
bool changes_shape(const std::string& name) {
  static const std::set<std::string> names{"aten::squeeze_", "aten::unsqueeze_", "aten::t_",
                                           "aten::transpose_"};
  return names.count(name) != 0;
}

bool is_written(const c10::Argument& argument) {
  return argument.alias_info() != nullptr && argument.alias_info()->isWrite();
}

// One call of an operation, from the stack and back onto it.
class OperatorCall {
 public:
  OperatorCall(const c10::OperatorHandle& op, torch::jit::Stack* stack)
      : op_(op),
        arguments_(op.schema().arguments()),
        stack_(*stack),
        begin_(stack->size() - arguments_.size()),
        given_(stack->begin() + static_cast<std::ptrdiff_t>(begin_), stack->end()) {
    find_out_whether_queued();
    for (size_t i = 0; i < arguments_.size(); ++i) bind(i);
    if (device_ == nullptr) device_ = &device_at(c10::Device(kinds().front().type));
    bind_generator();
  }

  void run() { can_be_queued_ ? run_queued() : run_at_once(); }

 private:
  // A tensor of the call, and the CPU tensor that stands for it.
  struct Bound {
    at::Tensor live, host;
    bool written;
  };

  void find_out_whether_queued() {
    const auto& schema = op_.schema();
    const bool is_foreach = schema.name().rfind("aten::_foreach", 0) == 0;
    can_be_queued_ = (!schema.returns().empty() || is_foreach) && !changes_shape(schema.name());
    for (const auto& result : schema.returns()) can_be_queued_ &= is_written(result);
  }

  void bind(size_t i) {
    const c10::IValue& input = given_[i];
    c10::IValue& value = stack_[begin_ + i];
    const bool written = is_written(arguments_[i]);
    if (input.isTensor()) {
      value = bind_tensor(input.toTensor(), written);
      if (input.toTensor().defined()) {
        numbers_ = std::max(numbers_, static_cast<uint64_t>(input.toTensor().numel()));
      }
    } else if (input.isList()) {
      c10::impl::GenericList bound(input.toList().elementType());
      bool has_tensors = false;
      for (const c10::IValue& element : input.toListRef()) {
        has_tensors |= element.isTensor();
        bound.push_back(element.isTensor() ? bind_tensor(element.toTensor(), written) : element);
      }
      if (has_tensors) value = bound;
    } else if (input.isDevice() && is_simulated(input.toDevice().type())) {
      if (device_ == nullptr) device_ = &device_at(input.toDevice());
      value = c10::Device(c10::kCPU);
    }
  }

  at::Tensor bind_tensor(const at::Tensor& tensor, bool written) {
    if (!tensor.defined()) return tensor;
    if (!is_on_device(tensor)) {
      if (written || tensor.numel() > 1) can_be_queued_ = false;
      return tensor;
    }
    if (device_ == nullptr) device_ = &device_at(tensor.device());
    if (written && tensor.numel() == 0) can_be_queued_ = false;
    for (const Bound& known : bound_) {
      if (known.live.is_same(tensor) && known.written == written) return known.host;
    }
    bound_.push_back({tensor, seen_by_device(tensor), written});
    return bound_.back().host;
  }

  void bind_generator() {
    for (size_t i = 0; i < arguments_.size(); ++i) {
      if (arguments_[i].name() != "generator") continue;
      at::Generator from =
          given_[i].isGenerator() ? given_[i].toGenerator() : default_generator(device_->name);
      if (!is_simulated(from.device().type())) continue;
      const std::lock_guard<std::mutex> hold(from.mutex());
      stack_[begin_ + i] = next_numbers(from, numbers_);
    }
  }

  void run_queued() {
    torch::jit::Stack call(stack_.begin() + static_cast<std::ptrdiff_t>(begin_), stack_.end());
    std::vector<std::pair<at::Tensor, std::vector<int64_t>>> sizes;
    for (const Bound& bound : bound_) {
      if (bound.written) sizes.emplace_back(bound.host, bound.host.sizes().vec());
    }
    queue(*device_, Work::kKernel, [op = op_, call, sizes]() mutable {
      op.redispatchBoxed(kCpu, &call);
      for (const auto& [tensor, before] : sizes) {
        TORCH_CHECK(tensor.sizes() == before, op.operator_name().name,
                    " was queued, and changed the size of its output");
      }
    });
    torch::jit::drop(stack_, arguments_.size());
    for (const auto& result : op_.schema().returns()) push_argument_of(result);
  }

  // An operation that writes in place returns what it was given.
  void push_argument_of(const c10::Argument& result) {
    for (size_t i = 0; i < arguments_.size(); ++i) {
      const auto* const alias = arguments_[i].alias_info();
      if (is_written(arguments_[i]) && alias->beforeSets() == result.alias_info()->beforeSets()) {
        stack_.push_back(given_[i]);
        return;
      }
    }
  }

  void run_at_once() {
    finish_quietly(*device_);
    for (Bound& bound : bound_) {
      if (bound.written) write_into_copy(bound);
    }
    const at::AutoDispatchBelowADInplaceOrView below;
    op_.redispatchBoxed(kCpu, &stack_);
    for (Bound& bound : bound_) {
      if (bound.written) bring_back(bound);
    }
    for (size_t i = stack_.size() - op_.schema().returns().size(); i < stack_.size(); ++i) {
      c10::IValue& value = stack_[i];
      if (value.isTensor()) {
        value = result_on_device(value.toTensor());
      } else if (value.isTensorList()) {
        c10::List<at::Tensor> results;
        for (const at::Tensor& one : value.toTensorVector())
          results.push_back(result_on_device(one));
        value = results;
      }
    }
  }

  // So that the result is seen when the stream gets there, not before.
  void write_into_copy(Bound& bound) {
    at::Tensor copy =
        at::empty_strided(bound.host.sizes(), bound.host.strides(), bound.host.options());
    copy.copy_(bound.host);
    for (size_t i = 0; i < arguments_.size(); ++i) {
      c10::IValue& value = stack_[begin_ + i];
      if (value.isTensor() && value.toTensor().is_same(bound.host)) value = copy;
    }
    bound.host = copy;
  }

  void bring_back(Bound& bound) {
    if (bound.live.sizes() != bound.host.sizes()) resize_(bound.live, bound.host.sizes(), kNone);
    if (bound.live.numel() > 0) write_later(bound.live, bound.host);
  }

  void write_later(const at::Tensor& live, const at::Tensor& result) {
    at::Tensor to = seen_by_device(live);
    queue(*device_, Work::kKernel, [to, result]() mutable { to.copy_(result); });
  }

  at::Tensor result_on_device(const at::Tensor& result) {
    if (!result.defined()) return result;
    for (const Bound& bound : bound_) {
      if (result.is_same(bound.host)) return bound.live;
      if (storage_begin(bound.host) != nullptr &&
          storage_begin(result) == storage_begin(bound.host)) {
        return view_of(bound.live, result);
      }
    }
    const at::Tensor made = empty_strided(result.sizes(), result.strides(), result.scalar_type(),
                                          {}, device_->name, {});
    if (result.numel() > 0) write_later(made, result);
    return made;
  }

  at::Tensor view_of(const at::Tensor& live, const at::Tensor& result) const {
    auto view = at::detail::make_tensor<c10::TensorImpl>(
        c10::TensorImpl::VIEW, c10::Storage(live.storage()),
        c10::DispatchKeySet(kind_of(device_->name.type()).key), result.dtype());
    view.unsafeGetTensorImpl()->set_storage_offset(result.storage_offset());
    view.unsafeGetTensorImpl()->set_sizes_and_strides(result.sizes(), result.strides());
    if (result.is_conj()) view._set_conj(true);
    if (result.is_neg()) view._set_neg(true);
    return view;
  }

  const c10::OperatorHandle& op_;
  const std::vector<c10::Argument>& arguments_;
  torch::jit::Stack& stack_;
  const size_t begin_;
  const torch::jit::Stack given_;
  std::vector<Bound> bound_;
  Device* device_ = nullptr;
  uint64_t numbers_ = 0;
  bool can_be_queued_ = true;
};

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  OperatorCall(op, stack).run();
}

// --- What LibTorch chooses because a tensor is not on the CPU, and for which the CPU has no
// kernel.

std::tuple<at::Tensor, at::Tensor> fused_dropout(const at::Tensor& self, double keep,
                                                 Optional<at::Generator> generator) {
  const at::Tensor mask =
      at::empty_like(self, self.options().dtype(at::kByte)).bernoulli_(keep, generator);
  return {self * mask / keep, mask};
}

std::tuple<at::Tensor, at::Tensor> native_dropout(const at::Tensor& self, double drop,
                                                  Optional<bool>) {
  const at::Tensor mask =
      at::empty_like(self, self.options().dtype(at::kBool)).bernoulli_(1 - drop);
  return {self * mask / (1 - drop), mask};
}

at::Tensor native_dropout_backward(const at::Tensor& grad, const at::Tensor& mask, double scale) {
  return grad * mask * scale;
}

at::Tensor convolution(const at::Tensor& input, const at::Tensor& weight,
                       const Optional<at::Tensor>& bias, at::IntArrayRef stride,
                       at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                       at::IntArrayRef output_padding, int64_t groups) {
  const bool has_bias = bias.has_value() && bias->defined();
  return at::convolution(input.cpu(), weight.cpu(),
                         has_bias ? Optional<at::Tensor>(bias->cpu()) : bias, stride, padding,
                         dilation, transposed, output_padding, groups)
      .to(input.device());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(
    const at::Tensor& grad, const at::Tensor& input, const at::Tensor& weight,
    at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
    at::IntArrayRef output_padding, int64_t groups, std::array<bool, 3> mask) {
  const std::vector<int64_t> bias_sizes{weight.size(transposed ? 1 : 0)};
  const auto on_host = at::convolution_backward(
      grad.cpu(), input.cpu(), weight.cpu(),
      mask[2] ? at::OptionalIntArrayRef(bias_sizes) : at::OptionalIntArrayRef(), stride, padding,
      dilation, transposed, output_padding, groups, mask);
  const auto back = [&](const at::Tensor& one) {
    return one.defined() ? one.to(input.device()) : one;
  };
  return {back(std::get<0>(on_host)), back(std::get<1>(on_host)), back(std::get<2>(on_host))};
}

}  // namespace

void register_fused_kernels(torch::Library& aten) {
  aten.impl("_fused_dropout", TORCH_FN(fused_dropout));
  aten.impl("native_dropout", TORCH_FN(native_dropout));
  aten.impl("native_dropout_backward", TORCH_FN(native_dropout_backward));
  aten.impl("convolution_overrideable", TORCH_FN(convolution));
  aten.impl("convolution_backward_overrideable", TORCH_FN(convolution_backward));
}

void register_fallback(torch::Library& all) {
  all.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

}  // namespace simulated
