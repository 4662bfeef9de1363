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
  CHECK(text.find("cannot write the file") != std::string::npos);
  CHECK(text.find("/data/run/checkpoint.pt") != std::string::npos);
  CHECK(text.find("No space left on device") != std::string::npos);
  CHECK(text.find("Free some space") != std::string::npos);
}

TEST_CASE("Codes follow the system's error numbers") {
  CHECK(store::system_failure("x", "p", EDQUOT).code() == ErrorCode::kNoSpace);
  CHECK(store::system_failure("x", "p", EFBIG).code() == ErrorCode::kNoSpace);
  CHECK(store::system_failure("x", "p", ENOENT).code() == ErrorCode::kNotFound);
  CHECK(store::system_failure("x", "p", EIO).code() == ErrorCode::kIo);
}

TEST_CASE("Every code has a name") {
  CHECK(std::string(to_string(ErrorCode::kNotFound)) == "not_found");
  CHECK(std::string(to_string(ErrorCode::kInterrupted)) == "interrupted");
}
