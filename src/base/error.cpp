#include <checkpoint/error.h>

#include <system_error>
#include <utility>

namespace checkpoint {

namespace {

// Joins the parts that exist: "path: message: the system's text. hint". If the message is a list,
// one entry a line, the hint gets a line of its own.
std::string compose(const std::string& message, const std::string& path, int system_error,
                    const std::string& hint) {
  std::string text = path.empty() ? message : path + ": " + message;
  if (system_error != 0) text += ": " + std::generic_category().message(system_error);
  if (hint.empty()) return text;
  const bool is_list = message.find('\n') != std::string::npos;
  if (!is_list) return text + ". " + hint;
  return text + (text.back() == '\n' ? "" : "\n") + hint;
}

}  // namespace

const char* to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kIncompatible:
      return "incompatible";
    case ErrorCode::kNoSpace:
      return "no_space";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kLocked:
      return "locked";
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kDevice:
      return "device";
    case ErrorCode::kTimeout:
      return "timeout";
  }
  return "unknown";
}

Error::Error(ErrorCode code, const std::string& message, std::string path, int system_error,
             const std::string& hint)
    : std::runtime_error(compose(message, path, system_error, hint)),
      code_(code),
      path_(std::move(path)),
      system_error_(system_error) {}

}  // namespace checkpoint
