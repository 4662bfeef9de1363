#include "weights_digest.h"

#include <torch/torch.h>
#include <xxhash.h>

#include <cstdio>
#include <memory>

namespace digits {
namespace {

// Frees the state of xxHash.
struct FreeState {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};
using Hash = std::unique_ptr<XXH3_state_t, FreeState>;

// Adds the bytes of a tensor on any device.
void update(XXH3_state_t* hash, const torch::Tensor& tensor) {
  const torch::Tensor bytes = tensor.detach().cpu().contiguous();
  XXH3_128bits_update(hash, bytes.data_ptr(), bytes.nbytes());
}

std::string hexadecimal(const XXH128_hash_t& digest) {
  char digits[33];
  std::snprintf(digits, sizeof digits, "%016llx%016llx",
                static_cast<unsigned long long>(digest.high64),
                static_cast<unsigned long long>(digest.low64));
  return digits;
}

}  // namespace

std::string weights_digest(const torch::nn::Module& module) {
  Hash hash(XXH3_createState());
  XXH3_128bits_reset(hash.get());
  for (const torch::Tensor& parameter : module.parameters()) update(hash.get(), parameter);
  for (const torch::Tensor& buffer : module.buffers()) update(hash.get(), buffer);
  return hexadecimal(XXH3_128bits_digest(hash.get()));
}

}  // namespace digits
