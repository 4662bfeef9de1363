#include "support/catch.h"

#include "state/snapshot/arena.h"

#include <chrono>
#include <cstring>
#include <new>
#include <string>
#include <thread>

using checkpoint::state::Arena;

TEST_CASE("An arena grows, keeps its place, and gives its memory back") {
  Arena arena;
  char* const first = arena.reserve(1000);
  std::memset(first, 1, 1000);
  char* const second = arena.reserve(50 << 20);
  std::memset(second, 2, 50 << 20);
  CHECK(first == second);
  CHECK(reinterpret_cast<uintptr_t>(second) % (2 << 20) == 0);
  CHECK(arena.size() >= (50u << 20));
  arena.release();
  CHECK(arena.size() == 0);
  std::memset(arena.reserve(10), 3, 10);
  arena.reserve(0);
}

TEST_CASE("Fetching pages in the background leaves alone what is in them") {
  for (int i = 0; i < 20; ++i) {
    Arena arena;
    char* const memory = arena.reserve(8 << 20);
    std::memset(memory, 7, 8 << 20);
    arena.prefault(64 << 20);
    if (i % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(i));
    char* const again = arena.reserve(64 << 20);
    CHECK(again == memory);
    CHECK(std::string(again, 1000) == std::string(1000, '\7'));
    std::memset(again, i, 64 << 20);
    if (i % 3 == 0) arena.prefault(128 << 20);  // And destroyed at once.
  }
}

TEST_CASE("More memory than there can be is std::bad_alloc") {
  Arena arena;
  arena.prefault(size_t{1} << 60);
  CHECK_THROWS_AS(arena.reserve(size_t{1} << 60), std::bad_alloc);
  std::memset(arena.reserve(100), 0, 100);
}
