#pragma once

#include <checkpoint/error.h>

#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <typeinfo>

namespace checkpoint::base {

/// The type of the exception that is being handled, as a program spells it.
inline std::string type_in_flight() {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "something unknown";
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, nullptr), &std::free);
  return name ? name.get() : type->name();
}

/// For a `catch (...)` around a function of the user's: throws Error(invalid_argument) instead of
/// what is not a std::exception, which few programs catch, and none can read.
[[noreturn]] inline void throw_for_foreign(const std::string& function) {
  throw Error(ErrorCode::kInvalidArgument,
              function + " threw what is not a std::exception (of type '" + type_in_flight() + "')",
              "", 0, "Throw a std::exception, which can say what is wrong.");
}

/// Calls a function of the user's. What it throws passes through, but for what is not a
/// std::exception: that becomes an Error. `function` says which one it was.
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
