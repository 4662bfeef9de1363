#pragma once

#include <checkpoint/export.h>

#include <stdexcept>
#include <string>

namespace checkpoint {

/// Every way in which a call can fail. The list is closed: later versions add sentences, not codes.
enum class ErrorCode {
  kNotFound,         ///< No such checkpoint, file or directory.
  kCorrupt,          ///< The bytes on disk are not those that were written.
  kIncompatible,     ///< The file is whole, but does not fit the live objects or this version.
  kNoSpace,          ///< The disk, the quota or the file size limit is full.
  kIo,               ///< The system refused or failed a call on a file.
  kLocked,           ///< Another manager writes to this directory.
  kInvalidArgument,  ///< The caller passed what can never work.
  kUnsupported,      ///< Neither this file system nor this library can do that.
  kInterrupted,      ///< Stopped before the end, by the caller's wish.
};

/// The code as docs and logs spell it: "not_found", "corrupt", …
TORCH_CHECKPOINT_API const char* to_string(ErrorCode code) noexcept;

/// The one exception of this library. `what()` says what happened, to which file or tensor, the
/// system's own text where there is one, and what to do next.
class TORCH_CHECKPOINT_API Error : public std::runtime_error {
 public:
  /// `message` is a sentence without the path; `hint` says what to do next. `system_error` is an
  /// errno value, or 0.
  Error(ErrorCode code, const std::string& message, std::string path = {}, int system_error = 0,
        const std::string& hint = {});

  ErrorCode code() const noexcept { return code_; }
  /// The file or directory concerned; empty where there is none.
  const std::string& path() const noexcept { return path_; }
  /// The errno value behind the error; 0 where the system was not asked.
  int system_error() const noexcept { return system_error_; }

 private:
  ErrorCode code_;
  std::string path_;
  int system_error_;
};

}  // namespace checkpoint
