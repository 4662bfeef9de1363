#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <string>

namespace checkpoint::format {

/// Takes the bytes that one of LibTorch's writers hands over. A callback that reports a failure
/// makes that writer throw from its destructor, which ends the process. So this callback never
/// fails: the guard keeps the first exception and drops the rest of the bytes. `run` throws the
/// exception afterwards.
class WriterGuard {
 public:
  using Write = std::function<void(const void* data, size_t count)>;

  explicit WriterGuard(Write write);
  /// Returns the callback to pass to LibTorch. It refers to this object.
  std::function<size_t(const void*, size_t)> callback();
  /// Calls LibTorch's writer, then throws the exception that was kept. If the writer itself fails,
  /// throws Error(unsupported) with LibTorch's reason why it cannot write `what`.
  void run(const std::string& what, const std::function<void()>& writer);

 private:
  Write write_;
  std::exception_ptr failure_;
};

}  // namespace checkpoint::format
