#include "group/failure.h"

#include "base/json.h"
#include "base/utf8.h"

#include <array>

namespace checkpoint::group {
namespace {

constexpr std::array kCodes = {
    ErrorCode::kNotFound, ErrorCode::kCorrupt, ErrorCode::kIncompatible,    ErrorCode::kNoSpace,
    ErrorCode::kIo,       ErrorCode::kLocked,  ErrorCode::kInvalidArgument, ErrorCode::kUnsupported,
    ErrorCode::kDevice,   ErrorCode::kTimeout,
};

ErrorCode code_of(const std::string& text) {
  for (const ErrorCode code : kCodes) {
    if (text == to_string(code)) return code;
  }
  return ErrorCode::kIo;
}

}  // namespace

Failure failure_of(int rank, const std::exception& error) {
  const auto* const own = dynamic_cast<const Error*>(&error);
  return {rank, own != nullptr ? own->code() : ErrorCode::kIo, error.what()};
}

Error error_of(const Failure& failure) {
  return Error(failure.code, "rank " + std::to_string(failure.rank) + ": " + failure.message);
}

std::string encode_failure(const Failure& failure) {
  return base::dump_json({{"rank", failure.rank},
                          {"code", to_string(failure.code)},
                          {"message", base::valid_utf8(failure.message)},
                          {"concerns_one_checkpoint", failure.concerns_one_checkpoint}},
                         -1);
}

Failure decode_failure(const std::string& text) {
  const std::string source = "a message of another rank";
  const nlohmann::json document = base::parse_json(text, source);
  const base::JsonFields fields(document, source);
  return {static_cast<int>(fields.integer("rank")), code_of(fields.string("code")),
          fields.string("message"), fields.boolean("concerns_one_checkpoint")};
}

}  // namespace checkpoint::group
