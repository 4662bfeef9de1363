#include "format/pickle_globals.h"

#include <string>
#include <unordered_map>

namespace checkpoint::format::pickle {

namespace {

struct Known {
  std::string_view module;
  std::string_view name;
  Global global;
};

constexpr Known kKnown[] = {
    {"torch._utils", "_rebuild_tensor_v2", Global::kRebuildTensor},
    {"torch.jit._pickle", "build_intlist", Global::kTypedList},
    {"torch.jit._pickle", "build_doublelist", Global::kTypedList},
    {"torch.jit._pickle", "build_boollist", Global::kTypedList},
    {"torch.jit._pickle", "build_tensorlist", Global::kTypedList},
    {"torch.jit._pickle", "restore_type_tag", Global::kRestoreTypeTag},
    {"collections", "OrderedDict", Global::kOrderedDict},
    {"builtins", "complex", Global::kComplex},
    {"torch", "device", Global::kDevice},
};

// By LibTorch's own names of them. Those that the LibTorch in use does not have yet are unknown.
constexpr std::string_view kDtypes[] = {
    "Byte",           "Char",          "Short",           "Int",
    "Long",           "Half",          "Float",           "Double",
    "ComplexHalf",    "ComplexFloat",  "ComplexDouble",   "Bool",
    "BFloat16",       "UInt16",        "UInt32",          "UInt64",
    "Float8_e5m2",    "Float8_e4m3fn", "Float8_e5m2fnuz", "Float8_e4m3fnuz",
    "Float8_e8m0fnu",
};

constexpr std::string_view kStorage = "Storage";

// "FloatStorage" to kFloat, and so on.
std::unordered_map<std::string, c10::ScalarType> storage_classes() {
  std::unordered_map<std::string_view, c10::ScalarType> by_name;
  const auto count = static_cast<int>(c10::ScalarType::NumOptions);
  for (int i = 0; i < count; ++i) {
    const auto dtype = static_cast<c10::ScalarType>(i);
    by_name.emplace(c10::toString(dtype), dtype);
  }
  std::unordered_map<std::string, c10::ScalarType> classes;
  for (const std::string_view name : kDtypes) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) continue;
    classes.emplace(std::string(name).append(kStorage), found->second);
  }
  return classes;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

std::optional<Item> find_global(std::string_view module, std::string_view name) {
  for (const Known& known : kKnown) {
    if (known.module == module && known.name == name) return Item(known.global);
  }
  if (module == "torch" && ends_with(name, kStorage)) {
    static const auto classes = storage_classes();
    const auto found = classes.find(std::string(name));
    if (found != classes.end()) return Item(StorageClass{found->second});
  }
  return std::nullopt;
}

bool is_script_module(std::string_view module) {
  constexpr std::string_view kRoot = "__torch__";
  return module == kRoot ||
         (module.substr(0, kRoot.size()) == kRoot && module[kRoot.size()] == '.');
}

std::string_view why_unknown(std::string_view module, std::string_view name) {
  if (module == "torch._utils" && name == "_rebuild_qtensor") return "a quantized tensor";
  if (module == "torch._utils" && name == "_rebuild_sparse_tensor") return "a sparse tensor";
  if (module == "torch" && ends_with(name, kStorage)) {
    return "a dtype that is quantized, or that this LibTorch does not have";
  }
  return {};
}

}  // namespace checkpoint::format::pickle
