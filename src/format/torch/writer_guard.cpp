#include "format/torch/writer_guard.h"

#include <checkpoint/error.h>

#include <c10/util/Exception.h>

#include <utility>

namespace checkpoint::format {

WriterGuard::WriterGuard(Write write) : write_(std::move(write)) {}

std::function<size_t(const void*, size_t)> WriterGuard::callback() {
  return [this](const void* data, size_t count) {
    if (!failure_) {
      try {
        write_(data, count);
      } catch (...) {
        failure_ = std::current_exception();
      }
    }
    return count;
  };
}

void WriterGuard::run(const std::string& what, const std::function<void()>& writer) {
  try {
    writer();
  } catch (const c10::Error& error) {
    if (!failure_) {
      throw Error(ErrorCode::kUnsupported,
                  "LibTorch cannot write " + what + ": " + error.what_without_backtrace());
    }
  }
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace checkpoint::format
