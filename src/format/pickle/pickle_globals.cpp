#include "format/pickle/pickle_globals.h"

#include "base/text.h"
#include "format/tree/dtype.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <unordered_map>

namespace checkpoint::format::pickle {

namespace {

// A name that a pickle may use, and what it means.
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
    {"builtins", "set", Global::kListOf},
    {"builtins", "frozenset", Global::kListOf},
    {"builtins", "bytearray", Global::kByteArray},
    {"builtins", "bytes", Global::kBytes},
    {"builtins", "complex", Global::kComplex},
    {"_codecs", "encode", Global::kEncode},
    {"torch", "Size", Global::kSize},
    {"torch", "device", Global::kDevice},
};

// Protocol 2 calls this module by its name in Python 2.
constexpr std::string_view kBuiltins[] = {"builtins", "__builtin__"};

// Modules whose functions act on the machine, and functions that run what they are given. Data
// never needs them: a file that names one was made to do harm in Python.
constexpr std::string_view kActing[] = {"os",     "nt",         "posix",  "sys", "subprocess",
                                        "runpy",  "webbrowser", "shutil", "pty", "socket",
                                        "ctypes", "commands",   "popen2"};
constexpr std::string_view kActingBuiltins[] = {"eval",       "exec", "execfile", "compile",
                                                "__import__", "open", "input",    "breakpoint"};

template <typename Names>
bool is_one_of(const Names& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

constexpr std::string_view kStorage = "Storage";

// "FloatStorage" to kFloat, and so on.
std::unordered_map<std::string, c10::ScalarType> storage_classes() {
  std::unordered_map<std::string, c10::ScalarType> classes;
  for (const c10::ScalarType dtype : plain_dtypes()) {
    classes.emplace(std::string(c10::toString(dtype)).append(kStorage), dtype);
  }
  return classes;
}

// Returns the dtype of the integers in a quantized storage, by the name of its class.
std::optional<c10::ScalarType> quantized_storage(std::string_view name) {
  if (name == "QInt8Storage") return c10::ScalarType::Char;
  if (name == "QInt32Storage") return c10::ScalarType::Int;
  if (name == "QUInt8Storage" || name == "QUInt4x2Storage" || name == "QUInt2x4Storage") {
    return c10::ScalarType::Byte;
  }
  return std::nullopt;
}

bool is_builtins(std::string_view module) { return is_one_of(kBuiltins, module); }

}  // namespace

std::optional<Cell> find_global(std::string_view module, std::string_view name) {
  if (is_builtins(module)) module = kBuiltins[0];
  for (const Known& known : kKnown) {
    if (known.module == module && known.name == name) return Cell(known.global);
  }
  if (name == "UntypedStorage" && (module == "torch" || module == "torch.storage")) {
    return Cell(UntypedStorageClass{});
  }
  // Before 0.4 a storage of CUDA was of a class of its own.
  if ((module == "torch" || module == "torch.cuda") && base::ends_with(name, kStorage)) {
    static const auto classes = storage_classes();
    const auto found = classes.find(std::string(name));
    if (const auto integers = quantized_storage(name)) return Cell(StorageClass{*integers});
    if (found != classes.end()) return Cell(StorageClass{found->second});
  }
  if (module == "torch") {
    if (const auto dtype = find_dtype(name)) return Cell(Dtype{*dtype});
  }
  return std::nullopt;
}

bool is_script_module(std::string_view module) {
  constexpr std::string_view kRoot = "__torch__";
  return module == kRoot ||
         (module.substr(0, kRoot.size()) == kRoot && module[kRoot.size()] == '.');
}

std::string_view first_part(std::string_view module) { return module.substr(0, module.find('.')); }

bool acts(std::string_view module, std::string_view name) {
  if (is_builtins(module)) return is_one_of(kActingBuiltins, name);
  return is_one_of(kActing, first_part(module));
}

Name name_of(Global global) {
  for (const Known& known : kKnown) {
    if (known.global == global) return {known.module, known.name};
  }
  return {"builtins", "object"};
}

}  // namespace checkpoint::format::pickle
