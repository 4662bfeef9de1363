#include "support/catch.h"

#include "base/parallel.h"

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

using namespace checkpoint;

namespace {

template <typename Call>
std::string what_of(const Call& call) {
  try {
    call();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("A parallel loop reaches each item once, and passes on what one of them throws") {
  std::vector<std::atomic<int>> seen(1000);
  base::parallel_for(seen.size(), [&](base::Indices& indices) {
    for (size_t i = 0; indices.next(i);) ++seen[i];
  });
  for (const auto& count : seen) CHECK(count == 1);
  CHECK(what_of([] {
          base::parallel_for(100, [](base::Indices& indices) {
            for (size_t i = 0; indices.next(i);) {
              if (i == 50) throw std::runtime_error("the fiftieth");
            }
          });
        }) == "the fiftieth");
}

TEST_CASE("Two things side by side are both done, whatever one of them throws") {
  bool own = false;
  bool other = false;
  base::side_by_side([&] { other = true; }, [&] { own = true; });
  CHECK(own);
  CHECK(other);

  own = other = false;
  const auto fail_with = [](const char* what) { throw std::runtime_error(what); };
  CHECK(what_of([&] { base::side_by_side([&] { fail_with("other"); }, [&] { own = true; }); }) ==
        "other");
  CHECK(own);
  CHECK(what_of([&] { base::side_by_side([&] { other = true; }, [&] { fail_with("own"); }); }) ==
        "own");
  CHECK(other);
  CHECK(what_of([&] {
          base::side_by_side([&] { fail_with("other"); }, [&] { fail_with("own"); });
        }) == "own");
}
