#pragma once

namespace checkpoint::format {

/// A way to a private member of a class of LibTorch's that has no other door: an explicit
/// instantiation may name it ([temp.spec]), and hands it to a function that anybody may call.
///
///     struct ModuleOf {
///       friend auto member_of(ModuleOf);
///     };
///     template struct PrivateMember<ModuleOf, &torch::serialize::InputArchive::module_>;
///     ...
///     archive.*member_of(ModuleOf{})
template <typename Tag, auto Member>
struct PrivateMember {
  friend auto member_of(Tag) { return Member; }
};

}  // namespace checkpoint::format
