// Finds which function a virtual call would reach, without calling it.
//
// C++ has no expression for that. g++ has one, but clang does not: a pointer to a member function,
// bound to an object and cast to a plain pointer (-Wno-pmf-conversions). Both follow the Itanium
// C++ ABI on Linux, which defines what is needed here:
//
//   - A pointer to a member function is two words, `ptr` and `adj` (section 2.3). For a virtual
//     function, `ptr` is 1 plus the offset of its entry in the vtable, in bytes. On ARM, code may
//     be at odd addresses. There `ptr` is the offset itself, and the lowest bit of `adj` is set for
//     a virtual function ("C++ ABI for the Arm Architecture" 3.2.1, and the same for the 64-bit
//     one).
//   - The first word of an object of a polymorphic class is the address of its vtable's first entry
//     (section 2.4). Module and Optimizer have no polymorphic base, so this holds for them.
//   - An entry is the address of the function. If a derived class overrides it, the entry is the
//     address of the override, or of a thunk that leads there.
//
// So the entries of two objects differ exactly if one has an override that the other does not have.
// If they ever differed without an override, the object would be saved and loaded by its own
// functions. That is slower, but just as correct.

#include "state/items/custom_methods.h"

#include <checkpoint/error.h>

#include <torch/serialize/archive.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace checkpoint::state {
namespace {

// A pointer to a member function, as the ABI stores it.
struct MemberPointer {
  std::uintptr_t ptr;
  std::ptrdiff_t adj;
};

#if defined(__aarch64__) || defined(__arm__)
bool is_virtual(const MemberPointer& member) { return (member.adj & 1) != 0; }
std::uintptr_t vtable_offset(const MemberPointer& member) { return member.ptr; }
#else
bool is_virtual(const MemberPointer& member) { return (member.ptr & 1) != 0; }
std::uintptr_t vtable_offset(const MemberPointer& member) { return member.ptr - 1; }
#endif

// Returns the vtable's entry for a virtual function of the object.
template <typename Class, typename Function>
const void* vtable_entry(const Class& object, Function Class::*function) {
  MemberPointer member;
  static_assert(sizeof(member) == sizeof(function), "not the Itanium C++ ABI");
  std::memcpy(&member, &function, sizeof(member));
  if (!is_virtual(member)) {
    throw Error(ErrorCode::kUnsupported,
                "this compiler's pointers to virtual functions do not follow the Itanium C++ ABI");
  }
  const char* vtable = nullptr;
  std::memcpy(&vtable, static_cast<const void*>(&object), sizeof(vtable));
  const void* entry = nullptr;
  std::memcpy(&entry, vtable + vtable_offset(member), sizeof(entry));
  return entry;
}

template <typename Class>
bool differ(const Class& left, const Class& right) {
  return vtable_entry(left, &Class::save) != vtable_entry(right, &Class::save) ||
         vtable_entry(left, &Class::load) != vtable_entry(right, &Class::load);
}

}  // namespace

bool has_custom_save_or_load(const torch::nn::Module& module) {
  static const torch::nn::Module plain("plain");
  return differ(module, plain);
}

bool has_custom_save_or_load(const torch::optim::Optimizer& optimizer,
                             const torch::optim::Optimizer& plain) {
  return differ(optimizer, plain);
}

}  // namespace checkpoint::state
