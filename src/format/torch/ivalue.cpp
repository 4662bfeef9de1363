// Values to LibTorch's IValues and back. What a tree cannot say by itself (a typed list or dict of
// TorchScript) becomes a pair: the type's name, then the content.

#include "format/torch/ivalue.h"

#include "format/tree/tagged.h"

#include <checkpoint/error.h>

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <c10/core/Device.h>

#include <algorithm>
#include <cctype>
#include <exception>
#include <string_view>
#include <utility>
#include <vector>

namespace checkpoint::format {
namespace {

using c10::IValue;
using c10::TypeKind;
using c10::TypePtr;

// The prefix of the type's name in such a pair.
constexpr std::string_view kScriptTag = "TorchScript ";
constexpr int kMaxTypeDepth = 32;

// A type without parts: its name in TorchScript, its kind, and how to get it.
struct SimpleType {
  std::string_view name;
  TypeKind kind;
  TypePtr (*get)();
};

template <typename T>
TypePtr get_type() {
  return T::get();
}

constexpr SimpleType kSimpleTypes[] = {
    {"Tensor", TypeKind::TensorType, get_type<c10::TensorType>},
    {"int", TypeKind::IntType, get_type<c10::IntType>},
    {"float", TypeKind::FloatType, get_type<c10::FloatType>},
    {"complex", TypeKind::ComplexType, get_type<c10::ComplexType>},
    {"bool", TypeKind::BoolType, get_type<c10::BoolType>},
    {"str", TypeKind::StringType, get_type<c10::StringType>},
    {"Device", TypeKind::DeviceObjType, get_type<c10::DeviceObjType>},
    {"Any", TypeKind::AnyType, get_type<c10::AnyType>},
    {"None", TypeKind::NoneType, get_type<c10::NoneType>},
};

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw Error(
      ErrorCode::kUnsupported, "'" + path + "' cannot be saved: it is " + what, "", 0,
      "Save numbers, texts, tensors, and lists, tuples, dicts and nested archives of them.");
}

[[noreturn]] void corrupt(const std::string& path, const std::string& what) {
  throw Error(ErrorCode::kCorrupt, "'" + path + "': " + what);
}

// Spells a type in TorchScript's notation, but with this file's own code: "Dict[str,
// List[Tensor]]".
std::string spell(const c10::Type& type, const std::string& path) {
  for (const SimpleType& simple : kSimpleTypes) {
    if (simple.kind == type.kind()) return std::string(simple.name);
  }
  const auto spell_all = [&](const char* name) {
    std::string text = std::string(name) + '[';
    for (const TypePtr& inner : type.containedTypes()) {
      if (text.back() != '[') text += ", ";
      text += spell(*inner, path);
    }
    return text + ']';
  };
  switch (type.kind()) {
    case TypeKind::ListType:
      return spell_all("List");
    case TypeKind::DictType:
      return spell_all("Dict");
    case TypeKind::OptionalType:
      return "Optional[" + spell(*type.castRaw<c10::OptionalType>()->getElementType(), path) + ']';
    case TypeKind::TupleType:
      if (type.castRaw<c10::TupleType>()->schema() == nullptr) return spell_all("Tuple");
      refuse(path, "a named tuple");
    default:
      refuse(path, "of the type " + type.str());
  }
}

// Reads a type that `spell` wrote.
class TypeReader {
 public:
  TypeReader(std::string_view text, const std::string& path) : rest_(text), path_(path) {}

  TypePtr read_whole() {
    TypePtr type = read(0);
    if (!rest_.empty()) fail();
    return type;
  }

 private:
  [[noreturn]] void fail() const { corrupt(path_, "its type cannot be read"); }

  TypePtr read(int depth) {
    if (depth > kMaxTypeDepth) fail();
    const std::string_view name = read_name();
    for (const SimpleType& simple : kSimpleTypes) {
      if (simple.name == name) return simple.get();
    }
    const std::vector<TypePtr> inner = read_inner(depth);
    if (name == "List" && inner.size() == 1) return c10::ListType::create(inner[0]);
    if (name == "Optional" && inner.size() == 1) return c10::OptionalType::create(inner[0]);
    if (name == "Dict" && inner.size() == 2 && may_be_key(*inner[0])) {
      return c10::DictType::create(inner[0], inner[1]);
    }
    if (name == "Tuple") return c10::TupleType::create(inner);
    fail();
  }

  // DictType::create throws for other key types; our own error comes first.
  static bool may_be_key(const c10::Type& type) {
    switch (type.kind()) {
      case TypeKind::IntType:
      case TypeKind::FloatType:
      case TypeKind::ComplexType:
      case TypeKind::BoolType:
      case TypeKind::StringType:
      case TypeKind::TensorType:
      case TypeKind::DeviceObjType:
        return true;
      default:
        return false;
    }
  }

  std::string_view read_name() {
    size_t end = 0;
    while (end < rest_.size() && std::isalpha(static_cast<unsigned char>(rest_[end]))) ++end;
    const std::string_view name = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return name;
  }

  std::vector<TypePtr> read_inner(int depth) {
    std::vector<TypePtr> types;
    if (!skip("[")) fail();
    if (skip("]")) return types;
    do {
      types.push_back(read(depth + 1));
    } while (skip(", "));
    if (!skip("]")) fail();
    return types;
  }

  bool skip(std::string_view text) {
    if (rest_.substr(0, text.size()) != text) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  std::string_view rest_;
  const std::string& path_;
};

Value with_type(const std::string& type, Value content) {
  return Tuple{{std::string(kScriptTag) + type, std::move(content)}};
}

// Returns the type's name, or empty for an ordinary tuple.
std::string_view type_of(const std::vector<Value>& pair) {
  if (pair.size() != 2 || pair[0].kind() != Value::Kind::kString) return {};
  const std::string_view text = pair[0].to_string();
  return text.substr(0, kScriptTag.size()) == kScriptTag ? text.substr(kScriptTag.size())
                                                         : std::string_view();
}

template <typename Values>
Value::List from_all(const Values& values, const std::string& path) {
  Value::List result;
  result.reserve(values.size());
  for (const IValue& value : values) {
    result.push_back(from_ivalue(value, path + '.' + std::to_string(result.size())));
  }
  return result;
}

Value from_list(const IValue& value, const std::string& path) {
  const TypePtr element_type = value.toList().elementType();
  Value::List list = from_all(value.toListRef(), path);
  if (*element_type == *natural_element_type(list)) return list;
  return with_type("List[" + spell(*element_type, path) + ']', std::move(list));
}

Value from_dict(const IValue& value, const std::string& path) {
  const auto dict = value.toGenericDict();
  Value::List keys, values;
  for (const auto& entry : dict) {
    keys.push_back(from_ivalue(entry.key(), path));
    const std::string name =
        entry.key().isString() ? entry.key().toStringRef() : std::to_string(values.size());
    values.push_back(from_ivalue(entry.value(), path + '.' + name));
  }
  const std::string type =
      "Dict[" + spell(*dict.keyType(), path) + ", " + spell(*dict.valueType(), path) + ']';
  return with_type(type, Tuple{{std::move(keys), std::move(values)}});
}

std::vector<IValue> to_all(const std::vector<Value>& values, const std::string& path) {
  std::vector<IValue> result;
  result.reserve(values.size());
  for (const Value& value : values) result.push_back(to_ivalue(value, path));
  return result;
}

// Returns the elements, and checks that each has the type.
std::vector<IValue> to_all_of(const Value& list, const c10::Type& type, const std::string& path) {
  std::vector<IValue> result = to_all(list.list(), path);
  for (const IValue& element : result) {
    if (!element.type()->isSubtypeOf(type)) corrupt(path, "an element is not of its type");
  }
  return result;
}

c10::Device to_device(const std::string& name, const std::string& path) {
  try {
    return c10::Device(name);
  } catch (const std::exception&) {
    corrupt(path, "it names a device that this LibTorch does not know");
  }
}

IValue with_type(const TypePtr& type, const Value& content, const std::string& path) {
  switch (type->kind()) {
    case TypeKind::DeviceObjType:
      return to_device(content.to_string(), path);
    case TypeKind::ListType: {
      const TypePtr element_type = type->containedTypes()[0];
      c10::impl::GenericList list(element_type);
      for (IValue& element : to_all_of(content, *element_type, path)) {
        list.push_back(std::move(element));
      }
      return list;
    }
    case TypeKind::DictType: {
      const TypePtr key_type = type->containedTypes()[0];
      const TypePtr value_type = type->containedTypes()[1];
      const std::vector<Value>& halves = content.tuple();
      if (halves.size() != 2 || halves[0].list().size() != halves[1].list().size()) {
        corrupt(path, "its keys and values are not as many");
      }
      const std::vector<IValue> keys = to_all_of(halves[0], *key_type, path);
      const std::vector<IValue> values = to_all_of(halves[1], *value_type, path);
      c10::impl::GenericDict dict(key_type, value_type);
      for (size_t i = 0; i < keys.size(); ++i) dict.insert_or_assign(keys[i], values[i]);
      return dict;
    }
    default:
      corrupt(path, "unexpected type tag");
  }
}

}  // namespace

TypePtr natural_element_type(const Value::List& list) {
  if (list.empty()) return c10::TensorType::get();
  const Value::Kind kind = list.front().kind();
  const bool uniform = std::all_of(list.begin(), list.end(),
                                   [&](const Value& value) { return value.kind() == kind; });
  if (uniform) {
    switch (kind) {
      case Value::Kind::kTensor:
        return c10::TensorType::get();
      case Value::Kind::kInt:
        return c10::IntType::get();
      case Value::Kind::kDouble:
        return c10::FloatType::get();
      case Value::Kind::kBool:
        return c10::BoolType::get();
      case Value::Kind::kString:
        return c10::StringType::get();
      default:
        break;
    }
  }
  return c10::AnyType::get();
}

Value from_ivalue(const IValue& value, const std::string& path) {
  if (value.isNone()) return Value();
  if (value.isTensor()) return value.toTensor();
  if (value.isBool()) return value.toBool();
  if (value.isInt()) return value.toInt();
  if (value.isDouble()) return value.toDouble();
  if (value.isComplexDouble()) return value.toComplexDouble();
  if (value.isString()) return value.toStringRef();
  if (value.isDevice()) return with_type("Device", value.toDevice().str());
  if (value.isList()) return from_list(value, path);
  if (value.isGenericDict()) return from_dict(value, path);
  if (value.isTuple()) {
    if (value.type()->castRaw<c10::TupleType>()->schema() != nullptr) refuse(path, "a named tuple");
    return Tuple{from_all(value.toTupleRef().elements(), path)};
  }
  refuse(path, "of the type " + value.type()->str());
}

IValue scalar_ivalue(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kBool:
      return value.to_bool();
    case Value::Kind::kInt:
      return value.to_int();
    case Value::Kind::kDouble:
      return value.to_double();
    case Value::Kind::kComplex:
      return value.to_complex();
    case Value::Kind::kString:
      return value.to_string();
    default:
      return IValue();
  }
}

IValue to_ivalue(const Value& value, const std::string& path) {
  switch (value.kind()) {
    case Value::Kind::kTensor:
      return value.to_tensor();
    case Value::Kind::kList: {
      c10::impl::GenericList list(natural_element_type(value.list()));
      for (IValue& element : to_all(value.list(), path)) list.push_back(std::move(element));
      return list;
    }
    case Value::Kind::kTuple: {
      const std::string_view type = type_of(value.tuple());
      if (!type.empty()) {
        return with_type(TypeReader(type, path).read_whole(), value.tuple()[1], path);
      }
      return c10::ivalue::Tuple::create(to_all(value.tuple(), path));
    }
    case Value::Kind::kDevice:
      return value.to_device();
    case Value::Kind::kSize:
    case Value::Kind::kDtype:
    case Value::Kind::kBytes:
    case Value::Kind::kBigInt:
      return to_ivalue(to_tagged(value), path);
    case Value::Kind::kDict:
      corrupt(path, "unexpected dict");
    case Value::Kind::kOpaque:
      refuse(path, "an " + kind_text(value));
    default:
      return scalar_ivalue(value);
  }
}

}  // namespace checkpoint::format
