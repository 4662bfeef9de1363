#include "format/torch/archive_modules.h"

#include "compat/private_member.h"

#include <utility>

namespace checkpoint::format {
namespace {

// The public one compares the name with those of all attributes before.
using AddAttribute = void (c10::ClassType::*)(c10::ClassAttribute);
TORCH_CHECKPOINT_OPEN_POINTER(UncheckedAdd,
                              static_cast<AddAttribute>(&c10::ClassType::addAttribute))

// All that the source of a class says, but its name.
std::string signature_of(const std::vector<c10::ClassAttribute>& attributes) {
  std::string result;
  for (const c10::ClassAttribute& attribute : attributes) {
    result += std::to_string(attribute.getName().size());
    result += ' ';
    result += attribute.getName();
    result += std::to_string(static_cast<int>(attribute.getKind()));
    result += attribute.getType()->annotation_str();
    result += '\n';
  }
  return result;
}

}  // namespace

void ArchiveEntries::reserve(size_t count) {
  attributes_.reserve(count);
  values_.reserve(count);
}

void ArchiveEntries::add(const std::string& name, const at::Tensor& tensor) {
  add(tensor.requires_grad() ? c10::AttributeKind::PARAMETER : c10::AttributeKind::BUFFER,
      c10::TensorType::get(), name, tensor);
}

void ArchiveEntries::add(const std::string& name, c10::IValue value) {
  c10::TypePtr type = value.type();
  add(c10::AttributeKind::REGULAR_ATTRIBUTE, std::move(type), name, std::move(value));
}

void ArchiveEntries::add(const std::string& name, const torch::jit::Module& nested) {
  add(c10::AttributeKind::REGULAR_ATTRIBUTE, nested.type(), name, nested._ivalue());
}

void ArchiveEntries::add(c10::AttributeKind kind, c10::TypePtr type, const std::string& name,
                         c10::IValue value) {
  attributes_.emplace_back(kind, std::move(type), name);
  values_.push_back(std::move(value));
}

torch::jit::Module ArchiveModules::make(ArchiveEntries entries) {
  torch::jit::Module module(unit_, class_of(std::move(entries.attributes_)));
  for (size_t i = 0; i < entries.values_.size(); ++i) {
    module._ivalue()->setSlot(i, std::move(entries.values_[i]));
  }
  return module;
}

c10::ClassTypePtr ArchiveModules::class_of(std::vector<c10::ClassAttribute> attributes) {
  std::string signature = signature_of(attributes);
  const auto known = classes_.find(signature);
  if (known != classes_.end()) return known->second;
  // As OutputArchive names its own: __torch__.Module, __torch__.___torch_mangle_0.Module, …
  c10::ClassTypePtr type =
      torch::jit::Module("__torch__.Module", unit_, /*shouldMangle=*/true).type();
  for (c10::ClassAttribute& attribute : attributes) {
    ((*type).*member_of(UncheckedAdd()))(std::move(attribute));
  }
  classes_.emplace(std::move(signature), type);
  return type;
}

}  // namespace checkpoint::format
