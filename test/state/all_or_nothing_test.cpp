#include "support/catch.h"
#include "support/error_of.h"
#include "support/every_kind.h"
#include "support/fingerprint.h"
#include "support/models.h"
#include "support/round_trip.h"

#include "state/snapshot/capture.h"

using namespace checkpoint;
using kinds::EveryKind;
using test::Saved;

namespace {

// How a user's object refuses what it gets.
struct Refuser {
  int64_t state_dict() const { return 1; }
  void load_state_dict(const Value&) {
    if (refuses) throw std::runtime_error("I refuse");
  }
  bool refuses = false;
};

// Everything, with an optimizer that has stepped.
struct World {
  explicit World(bool filled) : everything(filled) {
    for (torch::Tensor& parameter : everything.net->parameters()) {
      parameter.mutable_grad() = torch::full_like(parameter, filled ? 0.5 : 0.25);
    }
    adam.step();
  }

  template <typename Number>
  State state(Number& number) {
    State result = everything.state(/*with_plateau=*/true);
    result.add("adam", adam).add("number", number).add("last", last);
    return result;
  }

  // Where the live tensors' memory is.
  std::vector<const void*> memory() {
    std::vector<const void*> pointers = {everything.view.data_ptr(),
                                         everything.average.mean.data_ptr()};
    for (const torch::Tensor& tensor : everything.net->parameters()) {
      pointers.push_back(tensor.data_ptr());
    }
    for (const torch::Tensor& tensor : everything.script.parameters()) {
      pointers.push_back(tensor.data_ptr());
    }
    return pointers;
  }

  EveryKind everything;
  torch::optim::Adam adam{everything.net->parameters(), torch::optim::AdamOptions(0.25)};
  Refuser last;
};

// All that a save would write, generators included.
std::string digest_of(const State& state) {
  return test::fingerprint(state::capture(state, {}).tree);
}

}  // namespace

TEST_CASE("A restore that fails changes nothing of any kind of item") {
  World saved(true);
  int64_t wide = 300;
  State from = saved.state(wide);
  torch::manual_seed(7);
  const Saved file(from);
  const std::string expected = digest_of(from);

  World live(false);
  const std::vector<const void*> memory = live.memory();
  const auto check_unchanged = [&](State& to, const std::string& why) {
    torch::manual_seed(8);
    const std::string before = digest_of(to);
    REQUIRE(before != expected);
    const std::string error = error_of([&] { file.restore(to); });
    INFO(error);
    CHECK(contains(error, why));
    CHECK(digest_of(to) == before);
    CHECK(live.memory() == memory);
  };
  SECTION("an item is missing: found by the plan") {
    int64_t number = 0;
    double more = 0;
    State to = live.state(number);
    to.add("more", more);
    check_unchanged(to, "    more");
  }
  SECTION("a number does not fit its type: found by the plan") {
    uint8_t number = 0;
    State to = live.state(number);
    check_unchanged(to, "number: uint8_t here");
  }
  SECTION("the last item refuses, when all others have taken theirs") {
    int64_t number = 0;
    live.last.refuses = true;
    State to = live.state(number);
    check_unchanged(to, "I refuse");
  }
  SECTION("the file is damaged") {
    test::flip_bit(file.archive(), std::filesystem::file_size(file.archive()) / 2);
    int64_t number = 0;
    State to = live.state(number);
    check_unchanged(to, "corrupt: ");
    return;
  }
  // The failure does not prevent the next restore.
  live.last.refuses = false;
  int64_t number = 0;
  State to = live.state(number);
  file.restore(to);
  CHECK(digest_of(to) == expected);
}
