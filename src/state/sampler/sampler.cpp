// ResumableSampler. All copies share one place: the epoch, the number of examples trained on, and
// the number that the DataLoader has fetched. A save records the first two, and size, order and
// seed for comparison. A restored sampler continues with the first example that was not trained on.
// The order of an epoch is computed from size, seed and epoch (shuffle.h), so it is not saved.
//
// With several ranks, each takes every n-th example of what was left when they began. They train in
// step, so at any time what they have trained on together is one piece at the front of the order.
// That is what is saved, and any number of ranks can go on after it.

#include <checkpoint/error.h>
#include <checkpoint/sampler.h>

#include "state/sampler/shuffle.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace checkpoint {
namespace {

constexpr std::array<const char*, 4> kNumbers = {"size", "seed", "epoch", "position"};
constexpr char kShuffle[] = "shuffle";

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorCode::kIncompatible, "the sampler " + why, "", 0,
              "Create it with the size, order and seed that were saved.");
}

[[noreturn]] void misused(const std::string& call, const std::string& why) {
  throw Error(ErrorCode::kInvalidArgument, "ResumableSampler::" + call + ": " + why);
}

std::string order_name(bool shuffle) { return shuffle ? "shuffled" : "sequential"; }

}  // namespace

// What all copies share. `mutex` guards `place` and `order`.
struct ResumableSampler::Shared {
  // What the next reset() does.
  enum class Reset { kNextEpoch, kContinueOrNextEpoch, kContinue };

  // The position in the dataset.
  struct Place {
    size_t size;
    int64_t epoch = 0;
    size_t begin = 0;    // Examples that were trained on before the ranks divided the rest.
    size_t trained = 0;  // Of the rest, by this rank.
    size_t drawn = 0;    // By this rank, given to the DataLoader; never less than trained.
    // Whether a batch was smaller than asked for: other ranks may then train on one example more.
    bool is_last_step = false;
    Reset at_reset = Reset::kContinueOrNextEpoch;
  };

  Shared(size_t size, std::optional<uint64_t> seed, size_t rank, size_t world_size)
      : seed(seed), rank(rank), world_size(world_size), place{size} {
    if (rank < world_size) return;
    misused("sequential and shuffled", "the rank " + std::to_string(rank) +
                                           " does not fit a world size of " +
                                           std::to_string(world_size));
  }

  // Starts an epoch from its first example.
  void start(int64_t new_epoch) {
    place.epoch = new_epoch;
    go_to(0);
    order.reset();
  }

  void go_to(size_t position) {
    place.begin = position;
    place.trained = place.drawn = 0;
    place.is_last_step = false;
  }

  // Returns how many examples all ranks together have trained on: the same number on all ranks,
  // after each step.
  size_t position() const {
    if (place.is_last_step && place.trained == share()) return place.size;
    return std::min(place.size, place.begin + place.trained * world_size);
  }

  // Returns how many of what was left this rank has to train on.
  size_t share() const {
    const size_t left = place.size - place.begin;
    return left > rank ? (left - rank + world_size - 1) / world_size : 0;
  }

  bool is_done() const { return place.begin + place.trained > 0 && place.trained == share(); }

  // Returns the next `count` indices. Makes the order of a shuffled epoch when it is first needed.
  std::vector<size_t> draw(size_t count) {
    if (seed && !order) {
      order = state::shuffled_order(place.size, *seed, static_cast<uint64_t>(place.epoch));
    }
    std::vector<size_t> indices;
    indices.reserve(count);
    for (size_t i = 0; i < count; ++i, ++place.drawn) {
      const size_t at = place.begin + rank + place.drawn * world_size;
      indices.push_back(seed ? (*order)[at] : at);
    }
    return indices;
  }

  mutable std::mutex mutex;
  const std::optional<uint64_t> seed;  // None: sequential.
  const size_t rank;
  const size_t world_size;
  Place place;
  std::optional<std::vector<size_t>> order;  // Of this epoch.
};

ResumableSampler ResumableSampler::sequential(size_t size, size_t rank, size_t world_size) {
  return ResumableSampler(std::make_shared<Shared>(size, std::nullopt, rank, world_size));
}

ResumableSampler ResumableSampler::shuffled(size_t size, uint64_t seed, size_t rank,
                                            size_t world_size) {
  return ResumableSampler(std::make_shared<Shared>(size, seed, rank, world_size));
}

ResumableSampler::ResumableSampler(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
ResumableSampler::ResumableSampler(const ResumableSampler&) = default;
ResumableSampler& ResumableSampler::operator=(const ResumableSampler&) = default;
ResumableSampler::~ResumableSampler() = default;

void ResumableSampler::set_epoch(int64_t epoch) {
  if (epoch < 0) misused("set_epoch", "the epoch is negative: " + std::to_string(epoch));
  const std::lock_guard<std::mutex> hold(shared_->mutex);
  if (epoch != shared_->place.epoch) shared_->start(epoch);
  shared_->place.at_reset = Shared::Reset::kContinue;
}

void ResumableSampler::advance(size_t examples) {
  const std::lock_guard<std::mutex> hold(shared_->mutex);
  const size_t not_counted = shared_->place.drawn - shared_->place.trained;
  if (examples > not_counted) {
    misused("advance", std::to_string(examples) + " examples cannot have been trained on: only " +
                           std::to_string(not_counted) + " were drawn and not yet counted");
  }
  shared_->place.trained += examples;
}

int64_t ResumableSampler::epoch() const {
  const std::lock_guard<std::mutex> hold(shared_->mutex);
  return shared_->place.epoch;
}

size_t ResumableSampler::position() const {
  const std::lock_guard<std::mutex> hold(shared_->mutex);
  return shared_->position();
}

size_t ResumableSampler::size() const {
  const std::lock_guard<std::mutex> hold(shared_->mutex);
  return shared_->place.size;
}

Value ResumableSampler::state_dict() const {
  const std::lock_guard<std::mutex> hold(shared_->mutex);
  Dict tree;
  tree.insert("size", shared_->place.size);
  tree.insert(kShuffle, shared_->seed.has_value());
  tree.insert("seed", static_cast<int64_t>(shared_->seed.value_or(0)));
  tree.insert("epoch", shared_->place.epoch);
  tree.insert("position", shared_->position());
  return tree;
}

void ResumableSampler::load_state_dict(const Value& saved) {
  const Dict& tree = saved.dict();
  const auto size = static_cast<uint64_t>(tree.at("size").to_int());
  const bool shuffle = tree.at(kShuffle).to_bool();
  const auto seed = static_cast<uint64_t>(tree.at("seed").to_int());
  const int64_t epoch = tree.at("epoch").to_int();
  const auto position = static_cast<uint64_t>(tree.at("position").to_int());

  const std::lock_guard<std::mutex> hold(shared_->mutex);
  if (size != shared_->place.size) {
    refuse("has " + std::to_string(shared_->place.size) + " examples here, " +
           std::to_string(size) + " saved");
  }
  if (shuffle != shared_->seed.has_value()) {
    refuse("is " + order_name(shared_->seed.has_value()) + " here, but was " + order_name(shuffle) +
           " when saved");
  }
  if (shuffle && seed != *shared_->seed) {
    refuse("has the seed " + std::to_string(*shared_->seed) + " here, " + std::to_string(seed) +
           " saved");
  }
  if (epoch < 0 || position > size) {
    refuse("cannot go to position " + std::to_string(position) + " of " + std::to_string(size) +
           " in epoch " + std::to_string(epoch));
  }
  if (epoch != shared_->place.epoch) shared_->start(epoch);
  shared_->go_to(position);
  shared_->place.at_reset = Shared::Reset::kContinueOrNextEpoch;
}

std::function<void()> ResumableSampler::remember() const {
  const std::lock_guard<std::mutex> hold(shared_->mutex);
  return [shared = shared_, place = shared_->place] {
    const std::lock_guard<std::mutex> hold(shared->mutex);
    shared->place = place;
    shared->order.reset();  // Made again when needed.
  };
}

void ResumableSampler::reset(torch::optional<size_t> new_size) {
  using Reset = Shared::Reset;
  const std::lock_guard<std::mutex> hold(shared_->mutex);
  const bool done = shared_->is_done();
  const bool next = shared_->place.at_reset == Reset::kNextEpoch ||
                    (shared_->place.at_reset == Reset::kContinueOrNextEpoch && done);
  if (new_size && *new_size != shared_->place.size) {
    if (!next && shared_->position() > 0) {
      misused("reset", "the dataset now has " + std::to_string(*new_size) +
                           " examples, but epoch " + std::to_string(shared_->place.epoch) +
                           " was left at " + std::to_string(shared_->position()) + " of " +
                           std::to_string(shared_->place.size));
    }
    shared_->place.size = *new_size;
    shared_->order.reset();
  }
  if (next) shared_->start(shared_->place.epoch + 1);
  shared_->place.drawn = shared_->place.trained;
  shared_->place.at_reset = Reset::kNextEpoch;
}

torch::optional<std::vector<size_t>> ResumableSampler::next(size_t batch_size) {
  if (batch_size == 0) misused("next", "a batch must have at least one example");
  const std::lock_guard<std::mutex> hold(shared_->mutex);
  const size_t count = std::min(batch_size, shared_->share() - shared_->place.drawn);
  if (count < batch_size) shared_->place.is_last_step = true;
  if (count == 0) return {};
  return shared_->draw(count);
}

void ResumableSampler::save(torch::serialize::OutputArchive& archive) const {
  const Value tree = state_dict();
  for (const char* key : kNumbers) {
    archive.write(key, c10::IValue(tree.dict().at(std::string(key)).to_int()));
  }
  archive.write(kShuffle, c10::IValue(tree.dict().at(std::string(kShuffle)).to_bool()));
}

void ResumableSampler::load(torch::serialize::InputArchive& archive) {
  Dict tree;
  c10::IValue entry;
  for (const char* key : kNumbers) {
    archive.read(key, entry);
    tree.insert(std::string(key), entry.toInt());
  }
  archive.read(kShuffle, entry);
  tree.insert(std::string(kShuffle), entry.toBool());
  load_state_dict(tree);
}

}  // namespace checkpoint
