// State: a list of items. `add` in the header chooses by the object's type; each overload here
// makes the item for it.

#include <checkpoint/error.h>
#include <checkpoint/sampler.h>
#include <checkpoint/state.h>

#include "base/utf8.h"
#include "state/items/custom_archive_item.h"
#include "state/items/custom_state_dict_item.h"
#include "state/items/data_item.h"
#include "state/items/module.h"
#include "state/items/optimizer.h"
#include "state/items/scheduler.h"
#include "state/items/script_item.h"
#include "state/items/state_impl.h"
#include "state/items/value_item.h"
#include "state/plan/shards.h"

#include <c10/util/Type.h>

#include <algorithm>
#include <array>

namespace checkpoint {
namespace {

void check_name(const std::vector<std::unique_ptr<state::Item>>& items, const std::string& name) {
  // The checkpoint itself uses these names at its top level.
  static constexpr std::array<const char*, 4> kReserved = {"epoch", "loss", "step", "rng"};
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorCode::kInvalidArgument,
                "State::add(\"" + base::valid_utf8(name) + "\"): the name " + why, "", 0,
                "Use another name for the item.");
  };
  if (name.empty()) refuse("is empty");
  if (!base::is_valid_utf8(name)) refuse("is not valid UTF-8");
  if (std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end()) {
    refuse("is reserved for the checkpoint itself");
  }
  for (const auto& item : items) {
    if (item->name() == name) refuse("is taken by another item");
  }
}

}  // namespace

State::State() : impl_(std::make_unique<Impl>()) {}
State::State(State&&) noexcept = default;
State& State::operator=(State&&) noexcept = default;
State::~State() = default;

std::vector<std::string> State::names() const {
  std::vector<std::string> names;
  for (const auto& item : impl_->items) names.push_back(item->name());
  return names;
}

State& State::rng(bool value) {
  impl_->rng = value;
  return *this;
}

State& State::add_module(std::string name, std::shared_ptr<torch::nn::Module> module) {
  check_name(impl_->items, name);
  if (!module) {
    throw Error(ErrorCode::kInvalidArgument, "State::add(\"" + name + "\"): the module is null");
  }
  impl_->items.push_back(std::make_unique<state::ModuleItem>(std::move(name), std::move(module)));
  return *this;
}

State& State::add_optimizer(std::string name, torch::optim::Optimizer& optimizer) {
  check_name(impl_->items, name);
  impl_->items.push_back(state::make_optimizer_item(std::move(name), optimizer));
  return *this;
}

State& State::add_script(std::string name, torch::jit::Module& module) {
  check_name(impl_->items, name);
  impl_->items.push_back(std::make_unique<state::ScriptItem>(std::move(name), module));
  return *this;
}

State& State::add_archived(std::string name, const std::type_info& type,
                           std::function<void(torch::serialize::OutputArchive&)> save,
                           std::function<void(torch::serialize::InputArchive&)> load) {
  check_name(impl_->items, name);
  state::CustomSaveLoad object(name, std::move(save), std::move(load));
  impl_->items.push_back(std::make_unique<state::CustomArchiveItem>(
      std::move(name), c10::demangle(type.name()), std::move(object)));
  return *this;
}

State& State::add_scheduler(std::string name, torch::optim::LRScheduler& scheduler) {
  check_name(impl_->items, name);
  impl_->items.push_back(state::make_scheduler_item(std::move(name), scheduler));
  return *this;
}

#if TORCH_CHECKPOINT_HAS_PLATEAU
State& State::add_scheduler(std::string name, torch::optim::ReduceLROnPlateauScheduler& scheduler) {
  check_name(impl_->items, name);
  impl_->items.push_back(state::make_scheduler_item(std::move(name), scheduler));
  return *this;
}
#endif

State& State::add_sampler(std::string name, ResumableSampler& sampler) {
  check_name(impl_->items, name);
  impl_->items.push_back(std::make_unique<state::CustomStateDictItem>(
      std::move(name), [&sampler] { return sampler.state_dict(); },
      [&sampler](const Value& saved) { sampler.load_state_dict(saved); },
      [&sampler] { return sampler.remember(); }));
  return *this;
}

State& State::add_object(std::string name, std::function<Value()> read,
                         std::function<void(const Value&)> write) {
  check_name(impl_->items, name);
  impl_->items.push_back(std::make_unique<state::CustomStateDictItem>(
      std::move(name), std::move(read), std::move(write)));
  return *this;
}

State& State::add_value(std::string name, Value::Kind kind, std::function<Value()> read,
                        std::function<void(const Value&)> write) {
  check_name(impl_->items, name);
  impl_->items.push_back(
      std::make_unique<state::ValueItem>(std::move(name), kind, std::move(read), std::move(write)));
  return *this;
}

State& State::add_number(std::string name, internal::NumberType type, std::function<Value()> read,
                         std::function<void(const Value&)> write) {
  check_name(impl_->items, name);
  impl_->items.push_back(
      state::make_number_item(std::move(name), type, std::move(read), std::move(write)));
  return *this;
}

State& State::add_unsigned(std::string name, std::function<uint64_t()> read,
                           std::function<void(uint64_t)> write) {
  check_name(impl_->items, name);
  impl_->items.push_back(
      state::make_unsigned_item(std::move(name), std::move(read), std::move(write)));
  return *this;
}

State& State::add_long_double(std::string name, long double& number) {
  check_name(impl_->items, name);
  impl_->items.push_back(state::make_long_double_item(std::move(name), number));
  return *this;
}

State& State::add_tensor(std::string name, at::Tensor& tensor) {
  check_name(impl_->items, name);
  impl_->items.push_back(std::make_unique<state::TensorItem>(std::move(name), tensor));
  return *this;
}

State& State::add_data(std::string name, internal::LiveData data) {
  check_name(impl_->items, name);
  impl_->items.push_back(std::make_unique<state::DataItem>(std::move(name), std::move(data)));
  return *this;
}

State& State::keep_alive(std::shared_ptr<const void> object) {
  impl_->kept_alive.push_back(std::move(object));
  return *this;
}

State& State::make_per_rank(const std::string& name) {
  const auto item = std::find_if(impl_->items.begin(), impl_->items.end(),
                                 [&](const auto& one) { return one->name() == name; });
  (*item)->make_per_rank();
  return *this;
}

State& State::shard(Shard shard) {
  state::check_shard(shard);
  for (const Shard& known : impl_->shards) {
    if (!known.tensor.is_same(shard.tensor)) continue;
    throw Error(ErrorCode::kInvalidArgument, "State::shard: the tensor is already given as a shard",
                "", 0, "Describe each tensor once.");
  }
  impl_->shards.push_back(std::move(shard));
  return *this;
}

void State::refuse_null(const std::string& name) {
  throw Error(ErrorCode::kInvalidArgument, "State::add(\"" + name + "\"): the pointer is null", "",
              0, "Create the object before you add it.");
}

State& State::add_tree(std::string name, Value& value) {
  check_name(impl_->items, name);
  impl_->items.push_back(std::make_unique<state::TreeItem>(std::move(name), value));
  return *this;
}

}  // namespace checkpoint
