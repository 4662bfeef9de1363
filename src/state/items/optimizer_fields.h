#pragma once

// The fields of the options and states of LibTorch's optimizers, by their names in Optimizer::save.
// Each list serves both directions: the visitor either reads or writes each field.

#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/lbfgs.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <type_traits>

namespace checkpoint::state {

template <typename T, typename U>
using IsA = std::enable_if_t<std::is_same_v<std::remove_const_t<T>, U>, int>;

template <typename Visitor, typename T, IsA<T, torch::optim::SGDOptions> = 0>
void visit_fields(Visitor&& visit, T& options) {
  visit("lr", options.lr());
  visit("momentum", options.momentum());
  visit("dampening", options.dampening());
  visit("weight_decay", options.weight_decay());
  visit("nesterov", options.nesterov());
}

template <typename Visitor, typename T, IsA<T, torch::optim::SGDParamState> = 0>
void visit_fields(Visitor&& visit, T& state) {
  visit("momentum_buffer", state.momentum_buffer());
}

template <typename T>
inline constexpr bool kIsAdamOptions =
    std::is_same_v<std::remove_const_t<T>, torch::optim::AdamOptions> ||
    std::is_same_v<std::remove_const_t<T>, torch::optim::AdamWOptions>;

template <typename Visitor, typename T, std::enable_if_t<kIsAdamOptions<T>, int> = 0>
void visit_fields(Visitor&& visit, T& options) {
  visit("lr", options.lr());
  visit("betas", options.betas());
  visit("eps", options.eps());
  visit("weight_decay", options.weight_decay());
  visit("amsgrad", options.amsgrad());
}

template <typename T>
inline constexpr bool kIsAdamState =
    std::is_same_v<std::remove_const_t<T>, torch::optim::AdamParamState> ||
    std::is_same_v<std::remove_const_t<T>, torch::optim::AdamWParamState>;

template <typename Visitor, typename T, std::enable_if_t<kIsAdamState<T>, int> = 0>
void visit_fields(Visitor&& visit, T& state) {
  visit("step", state.step());
  visit("exp_avg", state.exp_avg());
  visit("exp_avg_sq", state.exp_avg_sq());
  visit("max_exp_avg_sq", state.max_exp_avg_sq());
}

template <typename Visitor, typename T, IsA<T, torch::optim::RMSpropOptions> = 0>
void visit_fields(Visitor&& visit, T& options) {
  visit("lr", options.lr());
  visit("alpha", options.alpha());
  visit("eps", options.eps());
  visit("weight_decay", options.weight_decay());
  visit("momentum", options.momentum());
  visit("centered", options.centered());
}

template <typename Visitor, typename T, IsA<T, torch::optim::RMSpropParamState> = 0>
void visit_fields(Visitor&& visit, T& state) {
  visit("step", state.step());
  visit("square_avg", state.square_avg());
  visit("momentum_buffer", state.momentum_buffer());
  visit("grad_avg", state.grad_avg());
}

template <typename Visitor, typename T, IsA<T, torch::optim::AdagradOptions> = 0>
void visit_fields(Visitor&& visit, T& options) {
  visit("lr", options.lr());
  visit("lr_decay", options.lr_decay());
  visit("weight_decay", options.weight_decay());
  visit("initial_accumulator_value", options.initial_accumulator_value());
  visit("eps", options.eps());
}

template <typename Visitor, typename T, IsA<T, torch::optim::AdagradParamState> = 0>
void visit_fields(Visitor&& visit, T& state) {
  visit("sum", state.sum());
  visit("step", state.step());
}

template <typename Visitor, typename T, IsA<T, torch::optim::LBFGSOptions> = 0>
void visit_fields(Visitor&& visit, T& options) {
  visit("lr", options.lr());
  visit("max_iter", options.max_iter());
  visit("max_eval", options.max_eval());
  visit("tolerance_grad", options.tolerance_grad());
  visit("tolerance_change", options.tolerance_change());
  visit("history_size", options.history_size());
  visit("line_search_fn", options.line_search_fn());
}

template <typename Visitor, typename T, IsA<T, torch::optim::LBFGSParamState> = 0>
void visit_fields(Visitor&& visit, T& state) {
  visit("func_evals", state.func_evals());
  visit("n_iter", state.n_iter());
  visit("t", state.t());
  visit("prev_loss", state.prev_loss());
  visit("d", state.d());
  visit("H_diag", state.H_diag());
  visit("prev_flat_grad", state.prev_flat_grad());
  visit("old_dirs", state.old_dirs());
  visit("old_stps", state.old_stps());
  visit("ro", state.ro());
  visit("al", state.al());
}

}  // namespace checkpoint::state
