#pragma once

#include <torch/nn/module.h>

#include <string>

namespace digits {

/// The XXH3-128 of the bytes of all parameters and then all buffers, in the order in which the
/// module names them: 32 lower-case hexadecimal digits. Two models with the same digest have the
/// same weights, bit for bit.
std::string weights_digest(const torch::nn::Module& module);

}  // namespace digits
