#pragma once

/// Gives access to a protected or private member of a LibTorch class that has no public way to it.
/// An explicit template instantiation may name such a member ([temp.spec.general]/6). It hands a
/// pointer to the member to a function that any code may call. This needs no copy of the class's
/// layout and is not undefined behaviour. If a LibTorch renames the member, the file no longer
/// compiles.
///
///     TORCH_CHECKPOINT_OPEN_MEMBER(ModuleOf, torch::serialize::InputArchive::module_)
///     ...
///     archive.*member_of(ModuleOf())
///
/// Use it only in source files, inside a namespace.
#define TORCH_CHECKPOINT_OPEN_MEMBER(Tag, member) TORCH_CHECKPOINT_OPEN_POINTER(Tag, &member)

/// The same for one of several functions of that name: takes the pointer, cast to its type.
#define TORCH_CHECKPOINT_OPEN_POINTER(Tag, opened) \
  struct Tag {                                     \
    friend auto member_of(Tag);                    \
  };                                               \
  template <auto pointer>                          \
  struct Tag##Opener {                             \
    friend auto member_of(Tag) { return pointer; } \
  };                                               \
  template struct Tag##Opener<opened>;
