#include "support/catch.h"

#include "store/io/file.h"

#include <checkpoint/error.h>

#include <cerrno>

using namespace checkpoint;

TEST_CASE("An error says what happened, where, and what to do next") {
  const Error error = store::system_failure("write the file", "/data/run/checkpoint.pt", ENOSPC);
  CHECK(error.code() == ErrorCode::kNoSpace);
  CHECK(error.path() == "/data/run/checkpoint.pt");
  CHECK(error.system_error() == ENOSPC);
  const std::string text = error.what();
  const std::string begin =
      "/data/run/checkpoint.pt: cannot write the file: No space left on device. Free some space";
  CHECK(text.substr(0, begin.size()) == begin);
}

TEST_CASE("The hint after a list is on its own line") {
  const auto text_of = [](const std::string& message) {
    return std::string(Error(ErrorCode::kCorrupt, message, "run", 0, "Move these away.").what());
  };
  CHECK(text_of("two are damaged:\n  a\n  b") ==
        "run: two are damaged:\n  a\n  b\nMove these away.");
  CHECK(text_of("one is damaged:\n  a\n") == "run: one is damaged:\n  a\nMove these away.");
  CHECK(text_of("one is damaged") == "run: one is damaged. Move these away.");
}

TEST_CASE("Codes follow the system's error numbers") {
  CHECK(store::system_failure("x", "p", EDQUOT).code() == ErrorCode::kNoSpace);
  CHECK(store::system_failure("x", "p", EFBIG).code() == ErrorCode::kNoSpace);
  CHECK(store::system_failure("x", "p", ENOENT).code() == ErrorCode::kNotFound);
  CHECK(store::system_failure("x", "p", EIO).code() == ErrorCode::kIo);
}

TEST_CASE("Every code has a name") {
  CHECK(std::string(to_string(ErrorCode::kNotFound)) == "not_found");
  CHECK(std::string(to_string(ErrorCode::kUnsupported)) == "unsupported");
}
