#pragma once

#include <checkpoint/error.h>

#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <typeinfo>

namespace checkpoint::base {

/// Returns the type of the exception that is being handled, as C++ code spells it.
inline std::string type_in_flight() {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "something unknown";
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, nullptr), &std::free);
  return name ? name.get() : type->name();
}

/// Throws Error(invalid_argument) in place of an exception that is not a std::exception. Few
/// programs catch such an exception, and it has no text to read. For a `catch (...)` around a
/// user's function.
[[noreturn]] inline void throw_for_foreign(const std::string& function) {
  throw Error(ErrorCode::kInvalidArgument,
              function + " threw an object of type '" + type_in_flight() +
                  "', which is not a std::exception",
              "", 0, "Throw a std::exception with a text that says what is wrong.");
}

/// Calls a user's function. A std::exception that it throws passes through. Anything else becomes
/// an Error. `function` is how the error names the function.
template <typename Call>
decltype(auto) call_user(const char* function, Call&& call) {
  try {
    return call();
  } catch (const std::exception&) {
    throw;
#ifdef __GLIBCXX__
  } catch (const abi::__forced_unwind&) {
    throw;  // The thread is being cancelled.
#endif
  } catch (...) {
    throw_for_foreign(function);
  }
}

}  // namespace checkpoint::base
