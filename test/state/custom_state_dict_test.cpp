#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/round_trip.h"

#include <stdexcept>

using namespace checkpoint;
using test::Net;
using test::same_bits;
using test::Saved;

namespace {

// A moving average, as users write them: it hands over its live tensors, and takes saved ones by
// writing into them.
struct Average {
  explicit Average(float value) : mean(torch::full({3}, value)), alias(mean) {}

  Value state_dict() const {
    Dict state;
    state.insert("mean", mean);
    state.insert("alias", alias);
    state.insert("count", count);
    return state;
  }
  void load_state_dict(const Value& saved) {
    ++loads;
    const Dict& state = saved.dict();
    tied_when_loaded = state.at("mean").to_tensor().is_same(state.at("alias").to_tensor());
    mean.copy_(state.at("mean").to_tensor());
    count = state.at("count").to_int();
    if (count == refused_count) throw std::runtime_error("no such count");
  }

  torch::Tensor mean, alias;
  int64_t count = 0;
  int64_t refused_count = -1;
  int loads = 0;
  bool tied_when_loaded = false;
};

// The least that can be added: what it hands over need only become a Value.
struct Counter {
  int64_t state_dict() const { return count; }
  void load_state_dict(const Value& saved) { count = saved.to_int(); }
  int64_t count = 0;
};

struct Broken {
  Value state_dict() const { throw std::runtime_error("not ready"); }
  void load_state_dict(const Value&) {}
};

}  // namespace

TEST_CASE("An object's state_dict comes back, its tensors with their data and still tied") {
  Average average(2);
  Counter counter;
  average.count = 5;
  counter.count = 7;
  State from;
  from.add("average", average).add("counter", counter);
  const Saved file(from);
  Average live(0);
  Counter live_counter;
  State to;
  to.add("average", live).add("counter", live_counter);
  const Restored restored = file.restore(to);
  CHECK(same_bits(live.mean, torch::full({3}, 2.F)));
  CHECK(live.count == 5);
  CHECK(live.tied_when_loaded);
  CHECK(live.loads == 1);
  CHECK(live_counter.count == 7);
  CHECK(restored.manifest.items[0].kind == "object");
}

TEST_CASE("An object that refuses is put back, with all before it, and nothing else has changed") {
  Net net;
  Average first(2), second(3);
  first.count = 5;
  second.count = 6;
  State from;
  from.add("first", first).add("second", second).add("model", net);
  const Saved file(from);
  Net live;
  const auto before = test::copies_of(*live);
  Average live_first(0), live_second(1);
  live_second.refused_count = 6;
  State to;
  to.add("first", live_first).add("second", live_second).add("model", live);
  const std::string error = error_of([&] { file.restore(to); });
  CHECK(contains(error, "incompatible: 'second' rejected the saved state"));
  CHECK(contains(error, "no such count"));
  CHECK(same_bits(live_first.mean, torch::zeros({3})));
  CHECK(live_first.count == 0);
  CHECK(same_bits(live_second.mean, torch::ones({3})));
  CHECK(live_second.count == 0);
  CHECK(test::unchanged(*live, before));
}

TEST_CASE("An object is not touched if another item does not fit") {
  Average average(2);
  torch::nn::Linear layer(2, 2);
  State from;
  from.add("average", average).add("model", layer);
  const Saved file(from);
  Average live(0);
  torch::nn::Linear wider(3, 2);
  State to;
  to.add("average", live).add("model", wider);
  CHECK_THROWS_AS(file.restore(to), Error);
  CHECK(live.loads == 0);
}

TEST_CASE("A state_dict that throws fails the save, and says whose it was") {
  Broken broken;
  State from;
  from.add("broken", broken);
  const std::string error = error_of([&] { Saved file(from); });
  CHECK(contains(error, "the state_dict() of 'broken' failed"));
  CHECK(contains(error, "not ready"));
}
