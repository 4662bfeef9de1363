#pragma once

/// A way to a protected or private member of a class of LibTorch's that has no other door: an
/// explicit template instantiation may name it ([temp.spec.general]/6), and hands a pointer to it
/// to a function that any code may call. There is no copy of the class's layout, and no undefined
/// behaviour; if a LibTorch renames the member, the file no longer compiles.
///
///     TORCH_CHECKPOINT_OPEN_MEMBER(ModuleOf, torch::serialize::InputArchive::module_)
///     ...
///     archive.*member_of(ModuleOf())
///
/// Use it in source files alone, inside a namespace.
#define TORCH_CHECKPOINT_OPEN_MEMBER(Tag, member)  \
  struct Tag {                                     \
    friend auto member_of(Tag);                    \
  };                                               \
  template <auto pointer>                          \
  struct Tag##Opener {                             \
    friend auto member_of(Tag) { return pointer; } \
  };                                               \
  template struct Tag##Opener<&member>;
