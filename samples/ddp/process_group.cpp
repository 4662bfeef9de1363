#include "process_group.h"

#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO  // Without it, the header below is empty. Not every package of LibTorch sets
                       // it.
#endif

#include <torch/torch.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace ddp {
namespace {

constexpr std::chrono::minutes kTimeout(2);

std::string variable(const std::string& name, const char* otherwise = nullptr) {
  const char* const value = std::getenv(name.c_str());
  if (value != nullptr) return value;
  if (otherwise != nullptr) return otherwise;
  throw std::runtime_error("the environment variable " + name +
                           " is not set: start this with torchrun or with samples/ddp/run.sh");
}

// Debian's LibTorch 2.14 has no libuv and nevertheless takes it for the default; 1.13 does not have
// the option.
template <typename Options>
auto do_without_libuv(Options& options, int) -> decltype(options.useLibUV, void()) {
  options.useLibUV = false;
}
template <typename Options>
void do_without_libuv(Options&, long) {}

c10::intrusive_ptr<c10d::Store> connect(int rank, int size) {
  c10d::TCPStoreOptions options;
  do_without_libuv(options, 0);
  options.port = static_cast<uint16_t>(std::stoi(variable("MASTER_PORT")));
  // torchrun may serve the store itself.
  const bool is_served = variable("TORCHELASTIC_USE_AGENT_STORE", "False") == "True";
  options.isServer = rank == 0 && !is_served;
  options.numWorkers = size;
  options.waitWorkers = false;
  options.timeout = kTimeout;
  const auto store = c10::make_intrusive<c10d::TCPStore>(variable("MASTER_ADDR"), options);
  // Each start has keys of its own, since torchrun's store outlives a failed one.
  return c10::make_intrusive<c10d::PrefixStore>(
      "ddp/" + variable("TORCHELASTIC_RESTART_COUNT", "0"), store);
}

}  // namespace

struct ProcessGroup::Gloo {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
};

ProcessGroup::ProcessGroup()
    : rank_(std::stoi(variable("RANK"))),
      size_(std::stoi(variable("WORLD_SIZE"))),
      store_(connect(rank_, size_)),
      gloo_(std::make_unique<Gloo>()) {
  const auto options = c10d::ProcessGroupGloo::Options::create(kTimeout);
  const std::string address = variable("MASTER_ADDR");
  const bool is_local = address == "127.0.0.1" || address == "localhost";
  options->devices.push_back(is_local ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                      : c10d::ProcessGroupGloo::createDefaultDevice());
  gloo_->group = c10::make_intrusive<c10d::ProcessGroupGloo>(
      c10::make_intrusive<c10d::PrefixStore>("gloo", store_), rank_, size_, options);
}

ProcessGroup::~ProcessGroup() = default;

void ProcessGroup::sum(const std::vector<torch::Tensor>& tensors) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> flat;
  for (const torch::Tensor& tensor : tensors) flat.push_back(tensor.flatten());
  std::vector<torch::Tensor> message = {torch::cat(flat)};
  gloo_->group->allreduce(message)->wait();
  int64_t begin = 0;
  for (torch::Tensor tensor : tensors) {
    tensor.copy_(message[0].narrow(0, begin, tensor.numel()).view_as(tensor));
    begin += tensor.numel();
  }
}

}  // namespace ddp
