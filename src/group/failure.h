#pragma once

#include <checkpoint/error.h>

#include <exception>
#include <string>

namespace checkpoint::group {

/// The error of a rank that cannot reach the others, or that has waited too long for them: it does
/// not know what they do.
class LostTouch : public Error {
 public:
  using Error::Error;
};

/// A failure of one rank, as the others learn of it.
struct Failure {
  int rank = 0;
  ErrorCode code = ErrorCode::kIo;
  std::string message;  ///< What `what()` returned on that rank.
  /// Whether another checkpoint may be restored instead.
  bool concerns_one_checkpoint = false;
};

/// Returns the failure that an exception on this rank is.
Failure failure_of(int rank, const std::exception& error);
/// Returns the error that another rank throws: "rank 3: …".
Error error_of(const Failure& failure);

/// Returns a failure as text, and reads it back. `decode_failure` throws Error(corrupt).
std::string encode_failure(const Failure& failure);
Failure decode_failure(const std::string& text);

}  // namespace checkpoint::group
