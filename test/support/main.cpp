// Catch2's session, with the library's log kept out of the tests' output.
#define CATCH_CONFIG_RUNNER
#include "support/catch.h"

#include <spdlog/spdlog.h>

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::off);
  return Catch::Session().run(argc, argv);
}
