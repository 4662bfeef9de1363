#include "format/tree/in_quotes.h"
#include "format/pickle/pickle_machine.h"

#include <string>
#include <string_view>

// What the names that a pickle may call stand for. None of them is called.

namespace checkpoint::format::pickle {

namespace {

// What LibTorch itself can work with.
constexpr size_t kMaxDimensions = 64;
// A tensor without its elements: its object, its storage's, and the table's row.
constexpr uint64_t kTensorBytes = 1024;

}  // namespace

std::string Machine::quoted_class(ClassName name) const {
  const auto& [module, short_name] = graph_.classes[name.index];
  return in_quotes(std::string(graph_.text(module)) + '.' + std::string(graph_.text(short_name)));
}

Items Machine::tuple(const Item& item, const char* wanted) const {
  return graph_.tuple(as<TupleAt>(item, wanted).index);
}

// ('storage', class, key, location, elements): what is kept in a record of its own. The format from
// before 1.6 adds what view of another storage it is, and has always added None.
void Machine::push_storage() {
  const Items fields = tuple(pop(), "a storage's description");
  const bool has_view = fields.size() == 6;
  if ((fields.size() != 5 && !has_view) ||
      graph_.text(as<Text>(fields[0], "the word 'storage'")) != std::string_view("storage")) {
    corrupt("it refers to something outside that is no storage");
  }
  if (has_view && !std::holds_alternative<None>(fields[5])) {
    unsupported("a storage is a view of another one, as before PyTorch 0.4",
                "Load and save it again with a newer PyTorch");
  }
  Storage storage{std::nullopt, as<Text>(fields[2], "a storage's key"),
                  as<Text>(fields[3], "a storage's location"),
                  as<int64_t>(fields[4], "a storage's size")};
  if (!std::holds_alternative<UntypedStorageClass>(fields[1])) {
    storage.dtype = as<StorageClass>(fields[1], "a storage's class").dtype;
  }
  budget_.charge(sizeof(Storage));
  graph_.storages.push_back(storage);
  push(StorageAt{static_cast<uint32_t>(graph_.storages.size() - 1)});
}

void Machine::make_object() {
  const Item arguments = pop();
  const Item callee = pop();
  if (const auto* global = std::get_if<Global>(&callee)) {
    // Python's pickler writes some of the calls that `reduce` knows in this form.
    push(call(*global, tuple(arguments, "a call's arguments")));
    return;
  }
  const auto name = as<ClassName>(callee, "a TorchScript class");
  if (!tuple(arguments, "a class's arguments").empty()) {
    unsupported("an object of class " + quoted_class(name) + " is made with arguments");
  }
  push_node<ObjectAt>({});
}

// Gives an object its attributes. Anything else than a dict of them is meant for the class's
// __setstate__, which would have to be run. An OrderedDict's attributes (the versions of modules
// in a state_dict's _metadata) are left out.
void Machine::build() {
  const Item state = pop();
  if (std::holds_alternative<DictAt>(top())) {
    as<DictAt>(state, "a dict's attributes");
    return;
  }
  auto& object = graph_.nodes[as<ObjectAt>(top(), "an object to fill").index];
  if (!object.empty()) corrupt("an object is filled twice");
  if (!std::holds_alternative<DictAt>(state)) {
    unsupported("an object's state is for a __setstate__ of its class", "Nothing was run");
  }
  object.push_back(state);
}

void Machine::reduce() {
  const Item arguments = pop();
  const Item callee = pop();
  if (const auto* name = std::get_if<ClassName>(&callee)) {
    unsupported("it calls the class " + quoted_class(*name) + ", as an enumeration does",
                "Nothing was run");
  }
  const auto global = as<Global>(callee, "the name of a function");
  push(call(global, tuple(arguments, "a call's arguments")));
}

Item Machine::call(Global global, Items arguments) {
  const auto need = [&](size_t count) {
    if (arguments.size() != count) corrupt("a call has the wrong number of arguments");
  };
  const auto empty_dict = [&] {
    push_node<DictAt>({});
    return pop();
  };
  switch (global) {
    case Global::kRebuildTensor:
      return rebuild_tensor(arguments, 6);
    case Global::kRebuildTensorV3:
      return rebuild_tensor(arguments, 7);
    case Global::kRebuildParameter:
      need(3);
      return rebuild_parameter(arguments);
    case Global::kRebuildParameterWithState:
      need(4);  // The last one: attributes that somebody hung on it. They are left out.
      return rebuild_parameter(arguments);
    case Global::kRebuildFromType:
      return rebuild_from_type(arguments);
    case Global::kTypedList:
      need(1);
      return as<ListAt>(arguments[0], "a list");
    case Global::kRestoreTypeTag:
      need(2);
      as<Text>(arguments[1], "the name of a type");
      return arguments[0];
    case Global::kOrderedDict:
      need(0);
      return empty_dict();
    case Global::kCounter:
      if (arguments.empty()) return empty_dict();
      need(1);
      return as<DictAt>(arguments[0], "a counter's counts");
    case Global::kDefaultDict:
      // What it would make for a missing key is left out: a tree has no missing keys.
      if (!arguments.empty()) {
        need(1);
        if (!std::holds_alternative<None>(arguments[0])) as<Global>(arguments[0], "a class");
      }
      return empty_dict();
    case Global::kComplex: {
      need(2);
      const auto real = as<double>(arguments[0], "a real part");
      const auto imaginary = as<double>(arguments[1], "an imaginary part");
      budget_.charge(sizeof(c10::complex<double>));
      graph_.complexes.emplace_back(real, imaginary);
      return ComplexAt{static_cast<uint32_t>(graph_.complexes.size() - 1)};
    }
    case Global::kEncode: {
      need(2);
      const Text text = as<Text>(arguments[0], "bytes, as text");
      const std::string_view code = graph_.text(as<Text>(arguments[1], "the name of a code"));
      if (code != "latin1" && code != "latin-1") {
        unsupported("it holds bytes in the code " + in_quotes(code));
      }
      return Latin1Text{text};
    }
    case Global::kBytes:
      need(0);
      return BytesText{{0, 0}};
    case Global::kSize:
      need(1);
      integers(arguments[0]);
      return SizeAt{as<TupleAt>(arguments[0], "a tuple of sizes").index};
    case Global::kDevice:
      return make_device(arguments);
    case Global::kBuiltinClass:
    case Global::kTensorClass:
      unsupported("it makes an object of a class that a tree has no place for, such as a set",
                  "Nothing was run. In Python, save list(x) or a tensor instead");
  }
  corrupt("a call is of an unknown kind");
}

// LibTorch: ("cuda:0"). Python: ("cuda", 0) or ("cpu").
Item Machine::make_device(Items arguments) {
  if (arguments.empty() || arguments.size() > 2) {
    corrupt("a device has the wrong number of arguments");
  }
  const Text type = as<Text>(arguments[0], "the name of a device");
  std::optional<int64_t> index;
  if (arguments.size() == 2) index = as<int64_t>(arguments[1], "the index of a device");
  budget_.charge(sizeof(graph_.devices.front()));
  graph_.devices.emplace_back(type, index);
  return DeviceAt{static_cast<uint32_t>(graph_.devices.size() - 1)};
}

// (storage, offset, sizes, strides, requires_grad, hooks[, dtype][, what LibTorch 2 adds]); the
// dtype is v3's, which has `required` arguments with it.
Item Machine::rebuild_tensor(Items arguments, size_t required) {
  if (arguments.size() != required && arguments.size() != required + 1) {
    corrupt("a tensor has the wrong number of arguments");
  }
  const Storage& storage = graph_.storages[as<StorageAt>(arguments[0], "a storage").index];
  const bool says_dtype = required == 7;
  if (!says_dtype && !storage.dtype) corrupt("a tensor's storage does not say its dtype");
  const c10::ScalarType dtype =
      says_dtype ? as<Dtype>(arguments[6], "a tensor's dtype").dtype : *storage.dtype;
  // In bytes the storage may end within an element.
  const auto item_bytes = static_cast<int64_t>(c10::elementSize(dtype));
  const int64_t numel = storage.dtype ? storage.numel : storage.numel / item_bytes;
  if (storage.dtype && *storage.dtype != dtype) {
    corrupt("a tensor has another dtype than its storage");
  }
  PickledTensor tensor{graph_.text(storage.key),
                       graph_.text(storage.location),
                       dtype,
                       numel,
                       as<int64_t>(arguments[1], "a storage offset"),
                       integers(arguments[2]),
                       integers(arguments[3]),
                       as<bool>(arguments[4], "a tensor's requires_grad")};
  if (tensor.sizes.size() != tensor.strides.size()) {
    corrupt("a tensor has another number of strides than of sizes");
  }
  if (!std::holds_alternative<None>(arguments[5])) {
    require_empty_dict(arguments[5], "backward hooks");
  }
  if (arguments.size() > required && !std::holds_alternative<None>(arguments[required])) {
    require_empty_dict(arguments[required],
                       "marks (conjugated or negative): resolve them before saving");
  }
  budget_.charge(kTensorBytes);
  graph_.tensors.push_back(make_tensor_(tensor));
  return TensorAt{static_cast<uint32_t>(graph_.tensors.size() - 1)};
}

// (data, requires_grad, hooks[, state]): the tensor, which nothing else in the file refers to.
Item Machine::rebuild_parameter(Items arguments) {
  const auto at = as<TensorAt>(arguments[0], "a parameter's tensor");
  const bool requires_grad = as<bool>(arguments[1], "a parameter's requires_grad");
  require_empty_dict(arguments[2], "backward hooks");
  at::Tensor& tensor = graph_.tensors[at.index];
  if (requires_grad && tensor.defined()) {
    if (!tensor.is_floating_point() && !tensor.is_complex()) {
      corrupt("a parameter that is not of floating point requires a gradient");
    }
    tensor.set_requires_grad(true);
  }
  return at;
}

// (function, class, arguments, state): a tensor with attributes of its own, which are left out.
Item Machine::rebuild_from_type(Items arguments) {
  if (arguments.size() != 4) corrupt("a tensor has the wrong number of arguments");
  const auto function = as<Global>(arguments[0], "the name of a function");
  if (function != Global::kRebuildTensor && function != Global::kRebuildTensorV3 &&
      function != Global::kRebuildParameter && function != Global::kRebuildParameterWithState) {
    corrupt("a tensor is not made by a function for tensors");
  }
  if (as<Global>(arguments[1], "a tensor's class") != Global::kTensorClass) {
    corrupt("a tensor is of a class that is none of tensors");
  }
  return call(function, tuple(arguments[2], "a tensor's arguments"));
}

std::vector<int64_t> Machine::integers(const Item& item) {
  const SizeAt* const size = std::get_if<SizeAt>(&item);
  const Items items =
      size != nullptr ? graph_.tuple(size->index) : tuple(item, "a tuple of integers");
  if (items.size() > kMaxDimensions) {
    unsupported("a tensor has " + std::to_string(items.size()) + " dimensions");
  }
  std::vector<int64_t> values;
  values.reserve(items.size());
  for (const Item& value : items) values.push_back(as<int64_t>(value, "an integer"));
  return values;
}

void Machine::require_empty_dict(const Item& item, const char* what) {
  if (!graph_.nodes[as<DictAt>(item, "a dict").index].empty()) {
    unsupported(std::string("a tensor has ") + what);
  }
}

}  // namespace checkpoint::format::pickle
