#include "format/torch/archive_modules.h"

#include "compat/private_member.h"

#include <algorithm>
#include <utility>

namespace checkpoint::format {
namespace {

using c10::AttributeKind;
using c10::ClassAttribute;
using c10::ClassType;
using c10::IValue;

// The public one compares the name with those of all attributes before.
using AddAttribute = void (ClassType::*)(ClassAttribute);
TORCH_CHECKPOINT_OPEN_POINTER(UncheckedAdd, static_cast<AddAttribute>(&ClassType::addAttribute))

AttributeKind kind_of(const IValue& value) {
  if (!value.isTensor()) return AttributeKind::REGULAR_ATTRIBUTE;
  return value.toTensor().requires_grad() ? AttributeKind::PARAMETER : AttributeKind::BUFFER;
}

// A tensor's own type has its sizes.
c10::TypePtr type_of(const IValue& value) {
  return value.isTensor() ? c10::TypePtr(c10::TensorType::get()) : value.type();
}

// Compares without making the value's type where that takes long.
bool has_type(const IValue& value, const c10::Type& type) {
  if (value.isTensor()) return type == *c10::TensorType::get();
  if (value.isObject()) return value.toObjectRef().type().get() == &type;
  return *value.type() == type;
}

}  // namespace

torch::jit::Module ArchiveModules::make(ArchiveEntries entries) {
  torch::jit::Module module(unit_, class_for(entries.entries_));
  c10::ivalue::Object& object = *module._ivalue();
  for (size_t i = 0; i < entries.entries_.size(); ++i) {
    object.setSlot(i, std::move(entries.entries_[i].value));
  }
  return module;
}

void ArchiveModules::begin_next() {
  in_last_file_ = std::move(in_this_file_);
  in_this_file_.clear();
}

c10::ClassTypePtr ArchiveModules::class_for(const std::vector<Entry>& entries) {
  const auto fits = [&](const ClassType& type) {
    const std::vector<ClassAttribute>& attributes = type.getAttributes();
    return std::equal(entries.begin(), entries.end(), attributes.begin(), attributes.end(),
                      [](const Entry& entry, const ClassAttribute& attribute) {
                        return attribute.getName() == entry.name &&
                               attribute.getKind() == kind_of(entry.value) &&
                               has_type(entry.value, *attribute.getType());
                      });
  };
  const c10::ClassTypePtr* const likely = likely_class();
  c10::ClassTypePtr type = likely != nullptr && fits(**likely) ? *likely : find_class(entries);
  in_this_file_.push_back(type);
  return type;
}

// Returns the class of the same module in the last file, or of the module before this one: often a
// neighbour in a list.
const c10::ClassTypePtr* ArchiveModules::likely_class() const {
  const size_t index = in_this_file_.size();
  if (index < in_last_file_.size()) return &in_last_file_[index];
  return index > 0 ? &in_this_file_.back() : nullptr;
}

c10::ClassTypePtr ArchiveModules::find_class(const std::vector<Entry>& entries) {
  std::string signature;  // All that the source of a class says, but its name.
  std::vector<ClassAttribute> attributes;
  attributes.reserve(entries.size());
  for (const auto& [name, value] : entries) {
    const AttributeKind kind = kind_of(value);
    attributes.emplace_back(kind, type_of(value), name);
    signature += std::to_string(name.size());
    signature += ' ';
    signature += name;
    signature += std::to_string(static_cast<int>(kind));
    signature += attributes.back().getType()->annotation_str();
    signature += '\n';
  }
  const auto known = classes_.find(signature);
  if (known != classes_.end()) return known->second;
  // As OutputArchive names its own: __torch__.Module, __torch__.___torch_mangle_0.Module, …
  c10::ClassTypePtr type =
      torch::jit::Module("__torch__.Module", unit_, /*shouldMangle=*/true).type();
  for (ClassAttribute& attribute : attributes) {
    ((*type).*member_of(UncheckedAdd()))(std::move(attribute));
  }
  classes_.emplace(std::move(signature), type);
  return type;
}

}  // namespace checkpoint::format
