// Each comment stands in the line of its call.
// clang-format off
// Each call is wrong, and each comment is what the compiler must say about it (run.sh).
#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <variant>
#include <vector>

struct NetImpl : torch::nn::Module {};
TORCH_MODULE(Net);

struct WithoutConst {
  checkpoint::Value state_dict() { return {}; }
  void load_state_dict(const checkpoint::Value&) {}
};
struct OnlyLoads {
  void load_state_dict(const checkpoint::Value&) {}
};
struct OnlySaves {
  void save(torch::serialize::OutputArchive&) const {}
};
struct Nothing {};

template <typename T>
T& live() {
  static T* object = nullptr;
  return *object;
}

void add_all(checkpoint::State& state) {
  state.add("a", live<std::unique_ptr<torch::optim::Adam>>());  // => pass *optimizer, not the pointer
  state.add("b", std::make_unique<torch::optim::SGD>(           // => pass *optimizer, not the pointer
                     std::vector<torch::Tensor>(), 0.1));
  state.add("c", live<torch::optim::AdamW*>());         // => pass *optimizer, not the pointer
  state.add("d", live<std::unique_ptr<NetImpl>>());     // => pass *module, not the pointer
  state.add("e", live<torch::nn::LinearImpl*>());       // => pass *module, not the pointer
  state.add("f", live<std::unique_ptr<double>>());      // => pass *pointer, not the pointer
  state.add("g", live<int*>());                         // => pass *pointer, not the pointer
  state.add("h", live<std::weak_ptr<NetImpl>>());       // => pass pointer.lock()
  state.add("i", live<std::reference_wrapper<int>>());  // => pass reference.get()
  state.add("j", live<torch::nn::AnyModule>());         // => pass any_module.ptr()
  state.add("k", live<double[3]>());                    // => write std::array<T, n> instead of T[n]
  state.add("l", "text");                               // => pass a std::string
  state.add("m", live<const char*>());                  // => pass a std::string
  state.add("n", live<std::string_view>());             // => pass a std::string
  state.add("o", 0.5);                                  // => pass an object that outlives the State
  state.add("p", std::vector<int>());                   // => pass an object that outlives the State
  state.add("q", live<const float>());                  // => it must not be const
  state.add("r", live<std::shared_ptr<const int>>());   // => it must not be const
  state.add("s", live<std::random_device>());           // => use std::mt19937
  state.add("t", live<std::variant<int, double>>());    // => use a checkpoint::Value
  state.add("u", live<std::chrono::steady_clock::time_point>());  // => keep a std::chrono::duration
  state.add("v", live<std::queue<int>>());                        // => use a std::deque or std::vector
  state.add("w", live<std::optional<std::optional<int>>>());      // => use one std::optional
  state.add("x", live<std::multimap<int, int>>());                // => use a std::map of std::vectors
  state.add("y", live<std::vector<torch::nn::Linear>>());         // => each under a name of its own
  state.add("z", live<std::map<std::string, Net>>());             // => each under a name of its own
  state.add("0", live<std::tuple<int, Nothing>>());               // => each under a name of its own
  state.add("1", live<std::list<std::unique_ptr<int>>>());        // => each under a name of its own
  state.add("2", live<std::optional<Nothing>>());                 // => each under a name of its own
  state.add("3", live<WithoutConst>());  // => both `checkpoint::Value state_dict() const` and
  state.add("4", live<OnlyLoads>());     // => both `checkpoint::Value state_dict() const` and
  state.add("5", live<OnlySaves>());     // => both `void save(torch::serialize::OutputArchive&) const
  state.add("6", live<Nothing>());       // => State::add takes modules, optimizers
  state.add("7", live<std::atomic<Nothing>>());  // => State::add takes modules, optimizers
}
