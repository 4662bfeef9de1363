#include "group/group.h"
#include "ranks/ranks.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/temporary_directory.h"

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>

using namespace checkpoint;
using group::Failure;
using group::Group;
using group::Meeting;
using test::coordinators;
using test::no_errors;
using test::run_ranks;

namespace {

constexpr Group::Seconds kLong(60);
constexpr Group::Seconds kShort(0.3);

}  // namespace

TEST_CASE("A process alone meets itself, and says nothing") {
  Group alone(nullptr, kLong);
  CHECK(alone.leads());
  CHECK(alone.is_alone());
  const auto meeting = alone.meet("a save");
  meeting->announce("name", "e1");
  CHECK(meeting->gather("wrote", "all") == std::vector<std::string>{"all"});
  CHECK_FALSE(meeting->agree("planned", std::nullopt));
  CHECK(meeting->agree("planned", Failure{0, ErrorCode::kIo, "disk"})->message == "disk");
}

TEST_CASE("Ranks announce, gather and agree, and leave no keys") {
  const int size = GENERATE(2, 3, 8);
  const auto keys = std::make_shared<test::SharedKeys>();
  const auto all = coordinators(size, keys);
  std::vector<std::string> heard(static_cast<size_t>(size));
  std::vector<std::string> gathered;
  const auto errors = run_ranks(size, [&](int rank) {
    Group group(all[rank], kLong);
    for (int i = 0; i < 3; ++i) {
      const auto meeting = group.meet("round " + std::to_string(i));
      if (group.leads()) meeting->announce("name", "e" + std::to_string(i));
      heard[rank] = group.leads() ? "e2" : meeting->hear("name");
      const auto texts = meeting->gather("wrote", "by " + std::to_string(rank));
      if (group.leads()) gathered = texts;
      if (meeting->agree("done", std::nullopt)) throw std::runtime_error("a failure");
    }
  });
  CHECK(errors == no_errors(size));
  CHECK(heard == std::vector<std::string>(static_cast<size_t>(size), "e2"));
  REQUIRE(gathered.size() == static_cast<size_t>(size));
  CHECK(gathered.back() == "by " + std::to_string(size - 1));
  CHECK(keys->keys() == std::vector<std::string>());
}

// Rank 0 may serve the coordinator, and end when it has said the last thing.
TEST_CASE("Rank 0 stays until the others have heard it, but not for a rank that is gone") {
  const auto all = coordinators(3);
  std::atomic<bool> served{true};
  for (const auto& coordinator : all) {
    coordinator->before = [&] {
      if (!served) throw std::runtime_error("nobody serves");
    };
  }
  const bool is_last_gone = GENERATE(false, true);
  const auto errors = run_ranks(3, [&](int rank) {
    {
      Group group(all[static_cast<size_t>(rank)], is_last_gone ? kShort : kLong);
      const auto meeting = group.meet("the last save");
      if (rank == 2 && is_last_gone) return;
      if (!group.leads()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
      const auto work = [&] {
        if (group.leads()) meeting->gather("wrote", "");
        if (group.leads()) meeting->announce("committed", "");
        if (!group.leads()) meeting->gather("wrote", "");
        if (!group.leads()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
        if (!group.leads()) meeting->hear("committed");
      };
      try {
        work();
      } catch (const std::exception& error) {
        meeting->fail(error);
        throw;
      }
    }
    if (rank == 0) served = false;
  });
  if (is_last_gone) {
    CHECK(errors[0].find("rank 2 of 3 has not reached") != std::string::npos);
    CHECK(errors[1].find("rank 2 of 3 has not reached") != std::string::npos);
  } else {
    CHECK(errors == no_errors(3));
  }
}

TEST_CASE("What a dead run has left is not taken for an answer") {
  const auto keys = std::make_shared<test::SharedKeys>();
  for (int run = 0; run < 3; ++run) {
    const auto all = coordinators(3, keys);
    std::vector<std::string> heard(3);
    const auto errors = run_ranks(3, [&](int rank) {
      Group group(all[rank], kLong);
      // In some runs the leader comes last, in some first.
      if ((rank == 0) == (run == 1)) std::this_thread::sleep_for(std::chrono::milliseconds(30));
      const auto meeting = group.meet("a save");
      if (group.leads()) meeting->announce("name", "run " + std::to_string(run));
      heard[rank] = group.leads() ? "" : meeting->hear("name");
    });
    CHECK(errors == no_errors(3));
    CHECK(heard[1] == "run " + std::to_string(run));
    CHECK(heard[2] == heard[1]);
  }
}

TEST_CASE("Ranks that died before they had joined do not disturb the next run") {
  const auto keys = std::make_shared<test::SharedKeys>();
  const auto dead = coordinators(3, keys);
  CHECK(run_ranks(2, [&](int rank) { Group(dead[rank + 1], kShort).meet("a save"); })[0] != "");
  const auto all = coordinators(3, keys);
  CHECK(run_ranks(3, [&](int rank) { Group(all[rank], kLong).meet("a save"); }) == no_errors(3));
}

TEST_CASE("A rank that does not come is named, on every rank that waits") {
  const auto all = coordinators(4);
  SECTION("before the first meeting") {
    const auto errors = run_ranks(4, [&](int rank) {
      if (rank == 2) return;
      Group(all[rank], kShort).meet("a save");
    });
    CHECK(contains(errors[0], "timeout: rank 2 of 4 did not come after 0.3 s"));
    CHECK(errors[1] == "timeout: " + errors[1].substr(9));
  }
  SECTION("to a later one") {
    const auto errors = run_ranks(4, [&](int rank) {
      Group group(all[rank], kShort);
      const auto meeting = group.meet("the save of 'epoch0005'");
      if (rank == 1 || rank == 3) return;
      meeting->gather("wrote", "");
      if (group.leads()) {
        meeting->announce("committed", "");
      } else {
        meeting->hear("committed");
      }
    });
    CHECK(
        contains(errors[0],
                 "timeout: ranks 1, 3 of 4 have not reached the save of 'epoch0005' after 0.3 s"));
    CHECK(contains(errors[2], "timeout: rank 0 of 4 has not reached the save of 'epoch0005'"));
  }
}

TEST_CASE("A rank that fails tells the others at once, and they do not wait") {
  const auto all = coordinators(4);
  const auto begin = std::chrono::steady_clock::now();
  const int failing = GENERATE(0, 2);
  const auto errors = run_ranks(4, [&](int rank) {
    Group group(all[rank], kLong);
    const auto meeting = group.meet("a save");
    if (rank == failing) {
      const Error full(ErrorCode::kNoSpace, "the disk is full");
      meeting->fail(full);
      throw full;
    }
    meeting->gather("wrote", "");
    meeting->hear("committed");
  });
  for (int rank = 0; rank < 4; ++rank) {
    const std::string from = rank == failing ? "" : "rank " + std::to_string(failing) + ": ";
    CHECK(errors[static_cast<size_t>(rank)] == "no_space: " + from + "the disk is full");
  }
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(30));
}

TEST_CASE("The first failure is that of all, unless it says that a rank did not come") {
  const auto all = coordinators(2);
  const ErrorCode first = GENERATE(ErrorCode::kNoSpace, ErrorCode::kTimeout);
  std::promise<void> told;
  const auto errors = run_ranks(2, [&](int rank) {
    Group group(all[rank], kLong);
    const auto meeting = group.meet("a save");
    const Error error(rank == 0 ? first : ErrorCode::kIo, rank == 0 ? "first" : "second");
    if (rank == 1) told.get_future().wait();
    meeting->fail(error);
    if (rank == 0) {
      meeting->fail(error);  // As its caller does.
      told.set_value();
    }
    throw error;
  });
  CHECK(errors[0] == std::string(to_string(first)) + ": first");
  CHECK(errors[1] == (first == ErrorCode::kTimeout ? "io: second" : "no_space: rank 0: first"));
}

TEST_CASE("All agree on the failure of the lowest rank") {
  const auto all = coordinators(4);
  std::vector<std::optional<Failure>> failures(4);
  const auto errors = run_ranks(4, [&](int rank) {
    Group group(all[rank], kLong);
    std::optional<Failure> own;
    if (rank > 1) own = Failure{rank, ErrorCode::kCorrupt, "of " + std::to_string(rank), true};
    failures[static_cast<size_t>(rank)] = group.meet("a restore")->agree("planned", own);
  });
  CHECK(errors == no_errors(4));
  for (const auto& failure : failures) {
    REQUIRE(failure);
    CHECK(failure->rank == 2);
    CHECK(failure->code == ErrorCode::kCorrupt);
    CHECK(failure->message == "of 2");
    CHECK(failure->concerns_one_checkpoint);
  }
}

TEST_CASE("A coordinator that fails fails the meeting, with an Error") {
  const auto all = coordinators(2);
  all[1]->before = [] { throw std::runtime_error("the store is lost"); };
  const auto errors = run_ranks(2, [&](int rank) { Group(all[rank], kShort).meet("a save"); });
  CHECK(contains(errors[1], "io: the coordinator failed: the store is lost"));
  CHECK(contains(errors[0], "timeout: rank 1 of 2 did not come"));
}

TEST_CASE("Two managers of one coordinator do not mix up their keys") {
  const auto all = coordinators(2);
  std::vector<std::string> heard(2);
  const auto errors = run_ranks(2, [&](int rank) {
    Group one(all[rank], kLong);
    Group other(all[rank], kLong);
    const auto meeting = one.meet("a save");
    const auto second = other.meet("another save");
    if (rank == 0) {
      second->announce("name", "second");
      meeting->announce("name", "first");
    } else {
      heard[0] = meeting->hear("name");
      heard[1] = second->hear("name");
    }
  });
  CHECK(errors == no_errors(2));
  CHECK(heard == std::vector<std::string>{"first", "second"});
}

TEST_CASE("A directory is a coordinator") {
  const test::TemporaryDirectory root;
  const std::string path = root / "new/coordinator";
  const auto one = directory_coordinator(path, 0, 2);
  const auto other = directory_coordinator(path, 1, 2);
  CHECK(one->rank() == 0);
  CHECK(other->rank() == 1);
  CHECK(other->size() == 2);
  CHECK_FALSE(one->try_get("a/b"));
  one->put("a/b", std::string("with\0zero", 9));
  CHECK(*other->try_get("a/b") == std::string("with\0zero", 9));
  other->put("a/b", "");
  CHECK(*one->try_get("a/b") == "");
  CHECK_FALSE(one->try_get("a.b"));
  CHECK_FALSE(one->try_get("a%2fb"));
  one->erase("a/b");
  one->erase("a/b");
  CHECK_FALSE(other->try_get("a/b"));
  CHECK(test::names_in(path).empty());
  CHECK(contains(error_of([&] { directory_coordinator(path, 2, 2); }),
                 "invalid_argument: the rank 2 does not fit a size of 2"));

  std::vector<std::shared_ptr<Coordinator>> all = {one, other};
  CHECK(run_ranks(2, [&](int rank) { Group(all[static_cast<size_t>(rank)], kLong).meet("a"); }) ==
        no_errors(2));
}
