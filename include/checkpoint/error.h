#pragma once

#include <checkpoint/export.h>

#include <stdexcept>
#include <string>

namespace checkpoint {

/// Why a call failed. Later versions may add codes; treat an unknown one like kIo.
enum class ErrorCode {
  kNotFound,         ///< No such checkpoint, file or directory.
  kCorrupt,          ///< The file is damaged: its content is not what was saved.
  kIncompatible,     ///< The file is intact, but does not match the live objects or this version.
  kNoSpace,          ///< The disk, the quota or the file size limit is full.
  kIo,               ///< The system failed a call on a file.
  kLocked,           ///< Another process or manager writes to this directory.
  kInvalidArgument,  ///< An argument that can never be valid.
  kUnsupported,      ///< This file system, this LibTorch or this library cannot do that.
  kDevice,           ///< A device (a GPU) failed, or its memory is full.
  kTimeout,          ///< Another rank did not come in time.
};

/// Returns a code as docs and logs spell it: "not_found", "corrupt", …
TORCH_CHECKPOINT_API const char* to_string(ErrorCode code) noexcept;

/// The only exception type of this library. `what()` begins with the path, as a compiler's messages
/// do, and then says what happened. If the system gave an error text, it follows. A hint on what to
/// do next comes last:
///
///     runs/a/e3/checkpoint.pt: cannot write the file: No space left on device. Free some space …
class TORCH_CHECKPOINT_API Error : public std::runtime_error {
 public:
  /// `message` is the part after the path: what happened. `hint` says what to do next.
  /// `system_error` is an errno value, or 0.
  Error(ErrorCode code, const std::string& message, std::string path = {}, int system_error = 0,
        const std::string& hint = {});

  /// Returns why the call failed.
  ErrorCode code() const noexcept { return code_; }
  /// Returns the file or directory concerned. Empty if no file is concerned.
  const std::string& path() const noexcept { return path_; }
  /// Returns the errno value of the system call that failed. 0 if no call failed.
  int system_error() const noexcept { return system_error_; }

 private:
  ErrorCode code_;
  std::string path_;
  int system_error_;
};

}  // namespace checkpoint
