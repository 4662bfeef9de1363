#include "tensor_errors.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <utility>

namespace checkpoint::cli {

Run without_backtraces(Run run) {
  return [run = std::move(run)]() -> ExitCode {
    try {
      return run();
    } catch (const c10::Error& error) {
      throw Error(ErrorCode::kUnsupported,
                  std::string("LibTorch cannot do that: ") + error.what_without_backtrace());
    }
  };
}

}  // namespace checkpoint::cli
