#include "format/pickle/pickle_globals.h"

#include "format/tree/dtype.h"

#include <algorithm>
#include <iterator>
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
    {"torch._utils", "_rebuild_tensor", Global::kRebuildOldTensor},
    {"torch._utils", "_rebuild_tensor_v2", Global::kRebuildTensor},
    {"torch._utils", "_rebuild_tensor_v3", Global::kRebuildTensorV3},
    {"torch._utils", "_rebuild_parameter", Global::kRebuildParameter},
    {"torch._utils", "_rebuild_parameter_with_state", Global::kRebuildParameterWithState},
    {"torch._utils", "_rebuild_device_tensor_from_cpu_tensor", Global::kRebuildFromCpu},
    {"torch._tensor", "_rebuild_from_type_v2", Global::kRebuildFromType},
    {"torch._tensor", "_rebuild_from_type", Global::kRebuildFromType},
    {"torch.tensor", "_rebuild_from_type", Global::kRebuildFromType},
    {"torch", "Tensor", Global::kTensorClass},
    {"torch.nn.parameter", "Parameter", Global::kParameterClass},
    {"torch.autograd.variable", "Variable", Global::kParameterClass},
    {"torch.nn.parameter", "Buffer", Global::kTensorClass},
    {"torch.jit._pickle", "build_intlist", Global::kTypedList},
    {"torch.jit._pickle", "build_doublelist", Global::kTypedList},
    {"torch.jit._pickle", "build_boollist", Global::kTypedList},
    {"torch.jit._pickle", "build_tensorlist", Global::kTypedList},
    {"torch.jit._pickle", "restore_type_tag", Global::kRestoreTypeTag},
    {"collections", "OrderedDict", Global::kOrderedDict},
    {"collections", "Counter", Global::kCounter},
    {"collections", "defaultdict", Global::kDefaultDict},
    {"collections", "deque", Global::kListOf},
    {"_codecs", "encode", Global::kEncode},
    {"torch", "Size", Global::kSize},
    {"torch", "device", Global::kDevice},
};

// Protocol 2 calls this module by its name in Python 2.
constexpr std::string_view kBuiltins[] = {"builtins", "__builtin__"};
constexpr std::string_view kBuiltinClasses[] = {"dict", "list",  "tuple", "str",
                                                "int",  "float", "bool",  "unicode"};

constexpr std::string_view kStorage = "Storage";

// "FloatStorage" to kFloat, and so on.
std::unordered_map<std::string, c10::ScalarType> storage_classes() {
  std::unordered_map<std::string, c10::ScalarType> classes;
  for (const c10::ScalarType dtype : plain_dtypes()) {
    classes.emplace(std::string(c10::toString(dtype)).append(kStorage), dtype);
  }
  return classes;
}

bool is_builtins(std::string_view module) {
  return std::find(std::begin(kBuiltins), std::end(kBuiltins), module) != std::end(kBuiltins);
}

std::optional<Item> find_builtin(std::string_view name) {
  if (name == "complex") return Item(Global::kComplex);
  if (name == "bytes") return Item(Global::kBytes);
  if (name == "bytearray") return Item(Global::kByteArray);
  if (name == "set" || name == "frozenset") return Item(Global::kListOf);
  const bool known = std::find(std::begin(kBuiltinClasses), std::end(kBuiltinClasses), name) !=
                     std::end(kBuiltinClasses);
  return known ? std::optional<Item>(Global::kBuiltinClass) : std::nullopt;
}

bool begins_with(std::string_view text, std::string_view begin) {
  return text.substr(0, begin.size()) == begin;
}

// Of Python's dtypes' names, so that an unknown one is called what it is.
bool looks_like_dtype(std::string_view name) {
  constexpr std::string_view kBeginnings[] = {"float", "int",  "uint", "complex", "bfloat",
                                              "bits",  "bool", "qint", "quint"};
  return std::any_of(std::begin(kBeginnings), std::end(kBeginnings),
                     [&](std::string_view begin) { return begins_with(name, begin); });
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

std::optional<Item> find_global(std::string_view module, std::string_view name) {
  for (const Known& known : kKnown) {
    if (known.module == module && known.name == name) return Item(known.global);
  }
  if (is_builtins(module)) return find_builtin(name);
  if (name == "UntypedStorage" && (module == "torch" || module == "torch.storage")) {
    return Item(UntypedStorageClass{});
  }
  // Before 0.4 a storage of CUDA was of a class of its own.
  if ((module == "torch" || module == "torch.cuda") && ends_with(name, kStorage)) {
    static const auto classes = storage_classes();
    const auto found = classes.find(std::string(name));
    if (found != classes.end()) return Item(StorageClass{found->second});
  }
  if (module == "torch") {
    if (const auto dtype = find_dtype(name)) return Item(Dtype{*dtype});
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
  if (module == "torch" && looks_like_dtype(name))
    return "a dtype that this LibTorch does not have";
  if (begins_with(module, "numpy")) return "a value of NumPy's";
  if (begins_with(module, "torch.nn.modules") || begins_with(module, "torch.optim")) {
    return "an object itself, and not its state_dict()";
  }
  return {};
}

std::string_view what_to_do(std::string_view module) {
  if (begins_with(module, "numpy")) {
    return "Nothing was run. In Python, save a number as x.item() and an array as "
           "torch.from_numpy(x)";
  }
  if (module == "argparse") return "Nothing was run. In Python, save vars(args)";
  if (begins_with(module, "pathlib")) return "Nothing was run. In Python, save str(path)";
  if (module == "torch._utils" || module == "torch") {
    return "Nothing was run. In Python, convert the tensor to a dense one of a common dtype before "
           "saving it";
  }
  return "Nothing was run. In Python, save what is data alone: state_dict() instead of the object "
         "itself, and lists, dicts, numbers and strings";
}

}  // namespace checkpoint::format::pickle
