#pragma once

#include <torch/optim/optimizer.h>

#include <memory>
#include <string>
#include <vector>

namespace digits {

/// The names that `make_optimizer` knows.
const std::vector<std::string>& optimizer_names();

/// An optimizer over `parameters`, with options that suit this network. Throws
/// std::invalid_argument for a name that is not in `optimizer_names`.
std::unique_ptr<torch::optim::Optimizer> make_optimizer(const std::string& name,
                                                        std::vector<torch::Tensor> parameters);

}  // namespace digits
