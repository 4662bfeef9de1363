// The second half of the pickle machine: what the names that a pickle may call stand for. None of
// them is called. Tensors, storages, dtypes, devices and containers are made here as the graph's
// cells; an object of any other class becomes an opaque one, with its parts.

#include "base/in_quotes.h"
#include "format/pickle/pickle_globals.h"
#include "format/pickle/pickle_machine.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace checkpoint::format::pickle {

namespace {

// The limit of LibTorch itself.
constexpr size_t kMaxDimensions = 64;
// The memory of a tensor without its elements: its object, its storage's, and its row in the table.
constexpr uint64_t kTensorBytes = 1024;

bool may_require_grad(const at::Tensor& tensor) {
  return tensor.is_floating_point() || tensor.is_complex();
}

}  // namespace

std::string Machine::quoted_class(ClassName name) const {
  const auto& [module, short_name] = graph_.classes[name.index];
  return base::in_quotes(std::string(graph_.text(module)) + '.' +
                         std::string(graph_.text(short_name)));
}

void Machine::wrong(const Cell& cell, const char* wanted) const {
  if (const auto* name = std::get_if<ForeignName>(&cell)) {
    const Name& foreign = graph_.foreign[name->index];
    unsupported("there is " +
                base::in_quotes(std::string(foreign.module) + '.' + std::string(foreign.name)) +
                ", which this library does not know, instead of " + wanted);
  }
  if (const auto* at = std::get_if<OpaqueAt>(&cell)) {
    const Name& name = graph_.opaques[at->index].name;
    unsupported("there is an object of the class " +
                base::in_quotes(std::string(name.module) + '.' + std::string(name.name)) +
                ", which this library does not know, instead of " + wanted);
  }
  corrupt(std::string("there is something else than ") + wanted);
}

c10::ScalarType Machine::dtype_of_storage(const Cell& cell) const {
  need_known_dtype(cell);
  return as<StorageClass>(cell, "a storage's class").dtype;
}

c10::ScalarType Machine::dtype_named(const Cell& cell) const {
  need_known_dtype(cell);
  return as<Dtype>(cell, "a tensor's dtype").dtype;
}

// Throws for a name of torch at the place of a dtype: only a LibTorch that has this dtype can read
// the tensor.
void Machine::need_known_dtype(const Cell& cell) const {
  const auto* name = std::get_if<ForeignName>(&cell);
  if (name == nullptr) return;
  const Name& foreign = graph_.foreign[name->index];
  if (foreign.module != "torch" && foreign.module != "torch.cuda") return;
  unsupported("a tensor is of " +
                  base::in_quotes(std::string(foreign.module) + '.' + std::string(foreign.name)) +
                  ", a dtype that this LibTorch does not have",
              "Read it with a newer LibTorch, or convert the tensor before it is saved");
}

Cells Machine::tuple(const Cell& cell, const char* wanted) const {
  return graph_.tuple(as<TupleAt>(cell, wanted).index);
}

// The elements of a tuple or a list.
Cells Machine::elements(const Cell& cell, const char* wanted) const {
  const auto* list = std::get_if<ListAt>(&cell);
  return list != nullptr ? graph_.list(list->index) : tuple(cell, wanted);
}

// ('storage', class, key, location, elements): a storage that is kept in a record of its own. The
// format from before 1.6 has one more field, the part of the storage. Since 0.4 it is None: all of
// it. Before 0.4, it may be (key, first element, elements).
void Machine::push_storage() {
  const Cell description = pop();
  const Cells fields = tuple(description, "a storage's description");
  // The class of a module that was saved whole, with its source code, which is not used.
  if (fields.size() == 4 && graph_.text(text(fields[0], "a word")) == std::string_view("module")) {
    push(fields[1]);
    return;
  }
  const bool has_view = fields.size() == 6;
  if ((fields.size() != 5 && !has_view) ||
      graph_.text(text(fields[0], "the word 'storage'")) != std::string_view("storage")) {
    corrupt("it refers to something outside that is not a storage");
  }
  const auto numel = as<int64_t>(fields[4], "a storage's size");
  Storage storage{std::nullopt,
                  text(fields[2], "a storage's key"),
                  text(fields[3], "a storage's location"),
                  numel,
                  0,
                  numel};
  if (has_view && !std::holds_alternative<None>(fields[5])) {
    const Cells view = tuple(fields[5], "a part of a storage");
    if (view.size() != 3) corrupt("a part of a storage is described in another way");
    storage.first = as<int64_t>(view[1], "where a part of a storage begins");
    storage.view_numel = as<int64_t>(view[2], "the size of a part of a storage");
    if (storage.first < 0 || storage.view_numel < 0 || storage.first > numel ||
        storage.view_numel > numel - storage.first) {
      corrupt("a part of a storage reaches outside of it");
    }
  }
  if (!std::holds_alternative<UntypedStorageClass>(fields[1])) {
    storage.dtype = dtype_of_storage(fields[1]);
  } else if (storage.view_numel != numel) {
    corrupt("a part of a storage is described in another way");
  }
  budget_.charge(sizeof(Storage));
  graph_.storages.push_back(storage);
  push(StorageAt{static_cast<uint32_t>(graph_.storages.size() - 1)});
}

void Machine::make_object() {
  const Cell arguments = pop();
  const Cell callee = pop();
  if (const auto* name = std::get_if<ForeignName>(&callee)) {
    push(make_opaque(graph_.foreign[name->index], arguments));
    return;
  }
  if (const auto* global = std::get_if<Global>(&callee)) {
    // Python's pickler uses this opcode for some of the calls that `reduce` knows.
    push(call(*global, arguments));
    return;
  }
  const auto name = as<ClassName>(callee, "a TorchScript class");
  if (!tuple(arguments, "a class's arguments").empty()) {
    unsupported("an object of class " + quoted_class(name) + " is made with arguments");
  }
  push_node<ObjectAt>({});
}

void Machine::make_object_with_keywords() {
  const Cell keywords = pop();
  const Cell arguments = pop();
  const Cell callee = pop();
  const auto* name = std::get_if<ForeignName>(&callee);
  if (name == nullptr) {
    unsupported("it would make an object by a call of its class's __new__", "Nothing was run");
  }
  as<DictAt>(keywords, "a dict of arguments");
  const Cell made = make_opaque(graph_.foreign[name->index], arguments);
  graph_.opaques.back().keywords = keywords;
  push(made);
}

bool Machine::is_unknown(const Cell& cell) const {
  return std::holds_alternative<ForeignName>(cell) || std::holds_alternative<OpaqueAt>(cell);
}

Cell Machine::make_opaque(Name name, const Cell& arguments) {
  const Cells all = tuple(arguments, "a call's arguments");
  budget_.charge(sizeof(OpaqueObject));
  graph_.opaques.push_back({name_of_made(name, all), arguments});
  return OpaqueAt{static_cast<uint32_t>(graph_.opaques.size() - 1)};
}

// Some functions make an object of the class in their arguments. Then that class is returned.
Name Machine::name_of_made(Name called, Cells arguments) const {
  const bool makes_objects = called.module == "copyreg" || called.module == "copy_reg";
  const bool makes_tensors = called.name.substr(0, 18) == "_rebuild_from_type";
  const size_t at = makes_tensors ? 1 : 0;
  if ((!makes_objects && !makes_tensors) || arguments.size() <= at) return called;
  const auto* name = std::get_if<ForeignName>(&arguments[at]);
  return name != nullptr ? graph_.foreign[name->index] : called;
}

// Gives an object its attributes. Only a dict of attributes is accepted: any other state is for the
// class's __setstate__, which would have to be run. An OrderedDict's attributes (the module
// versions in a state_dict's _metadata) are left out.
void Machine::build() {
  const Cell state = pop();
  if (const auto* opaque = std::get_if<OpaqueAt>(&top())) {
    OpaqueObject& object = graph_.opaques[opaque->index];
    if (object.has_state) corrupt("an object is filled twice");
    object.state = state;
    object.has_state = true;
    return;
  }
  if (const auto* tensor = std::get_if<TensorAt>(&top())) {
    build_parameter(*tensor, state);
    return;
  }
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
  const Cell arguments = pop();
  const Cell callee = pop();
  if (const auto* name = std::get_if<ClassName>(&callee)) {
    unsupported("it calls the class " + quoted_class(*name) + ", as an enumeration does",
                "Nothing was run");
  }
  if (const auto* name = std::get_if<ForeignName>(&callee)) {
    push(make_opaque(graph_.foreign[name->index], arguments));
  } else if (const auto* made = std::get_if<OpaqueAt>(&callee)) {
    push(make_opaque(graph_.opaques[made->index].name, arguments));
  } else {
    push(call(as<Global>(callee, "the name of a function"), arguments));
  }
}

// A call with an unknown argument makes an unknown object.
Cell Machine::call(Global global, const Cell& arguments) {
  const Cells all = tuple(arguments, "a call's arguments");
  const bool unknown =
      std::any_of(all.begin(), all.end(), [this](const Cell& cell) { return is_unknown(cell); });
  // Two exceptions. A defaultdict's argument makes the missing values, and is left out. A tensor's
  // unknown argument is a dtype that this LibTorch does not have; call_known refuses it by name.
  const bool plain =
      !unknown || global == Global::kDefaultDict || global == Global::kRebuildTensorV3;
  return plain ? call_known(global, all) : make_opaque(name_of(global), arguments);
}

Cell Machine::call_known(Global global, Cells arguments) {
  const auto need = [&](size_t count) {
    if (arguments.size() != count) corrupt("a call has the wrong number of arguments");
  };
  const auto empty_dict = [&] {
    push_node<DictAt>({});
    return pop();
  };
  switch (global) {
    case Global::kRebuildOldTensor:
      need(4);
      return rebuild_old_tensor(arguments);
    case Global::kRebuildTensor:
      return rebuild_tensor(arguments, 6);
    case Global::kRebuildTensorV3:
      return rebuild_tensor(arguments, 7);
    case Global::kRebuildParameter:
      need(3);
      return rebuild_parameter(arguments);
    case Global::kRebuildParameterWithState:
      need(4);  // The last one: attributes that the program added. They are left out.
      return rebuild_parameter(arguments);
    case Global::kRebuildFromCpu:
      need(4);
      return rebuild_from_cpu(arguments);
    case Global::kRebuildFromType:
      return rebuild_from_type(arguments);
    case Global::kParameterClass:
      return make_parameter(arguments);
    case Global::kTypedList:
      need(1);
      return as<ListAt>(arguments[0], "a list");
    case Global::kRestoreTypeTag:
      need(2);
      text(arguments[1], "the name of a type");
      return arguments[0];
    case Global::kOrderedDict:
      if (arguments.empty()) return empty_dict();
      need(1);
      return ordered_dict(arguments);
    case Global::kCounter:
      if (arguments.empty()) return empty_dict();
      need(1);
      return as<DictAt>(arguments[0], "a counter's counts");
    case Global::kDefaultDict:
      // The factory of missing values is left out: a tree has no missing keys.
      if (!arguments.empty()) {
        need(1);
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
      const Text encoded = text(arguments[0], "bytes, as text");
      const std::string_view code = graph_.text(text(arguments[1], "the name of a code"));
      if (code != "latin1" && code != "latin-1") {
        unsupported("it holds bytes in the code " + base::in_quotes(code));
      }
      return Latin1Text{encoded};
    }
    case Global::kBytes:
      need(0);
      return BytesText{{0, 0}};
    case Global::kByteArray:
      return byte_array(arguments);
    case Global::kListOf:
      return list_of(arguments);
    case Global::kSize:
      need(1);
      integers(arguments[0]);
      return SizeAt{as<TupleAt>(arguments[0], "a tuple of sizes").index};
    case Global::kDevice:
      return make_device(arguments);
    case Global::kTensorClass:
      unsupported("it makes a tensor by a call of its class", "Nothing was run");
  }
  corrupt("a call is of an unknown kind");
}

// LibTorch: ("cuda:0"). Python: ("cuda", 0) or ("cpu").
Cell Machine::make_device(Cells arguments) {
  if (arguments.empty() || arguments.size() > 2) {
    corrupt("a device has the wrong number of arguments");
  }
  const Text type = text(arguments[0], "the name of a device");
  std::optional<int64_t> index;
  if (arguments.size() == 2) index = as<int64_t>(arguments[1], "the index of a device");
  budget_.charge(sizeof(graph_.devices.front()));
  graph_.devices.emplace_back(type, index);
  return DeviceAt{static_cast<uint32_t>(graph_.devices.size() - 1)};
}

// Python 2's OrderedDict stores its entries as a list of pairs.
Cell Machine::ordered_dict(Cells arguments) {
  std::vector<Cell> entries;
  if (const auto* dict = std::get_if<DictAt>(&arguments[0])) {
    entries = graph_.nodes[dict->index];
  } else {
    for (const Cell& pair : elements(arguments[0], "a list of pairs")) {
      const Cells halves = elements(pair, "a key with its value");
      if (halves.size() != 2) corrupt("a key in it has no value");
      entries.insert(entries.end(), halves.begin(), halves.end());
    }
  }
  push_node<DictAt>(std::move(entries));
  return pop();
}

// A set, a frozenset or a deque. The arguments: (), (items) or (items, the maximal length).
Cell Machine::list_of(Cells arguments) {
  if (arguments.size() > 2) corrupt("a call has the wrong number of arguments");
  std::vector<Cell> cells;
  if (!arguments.empty()) {
    const Cells all = elements(arguments[0], "a list of items");
    cells.assign(all.begin(), all.end());
  }
  push_node<ListAt>(std::move(cells));
  return pop();
}

// The arguments: (), (bytes), or in protocol 2 (text, "latin-1").
Cell Machine::byte_array(Cells arguments) {
  if (arguments.empty()) return BytesText{{0, 0}};
  if (arguments.size() == 2) return call_known(Global::kEncode, arguments);
  if (arguments.size() != 1) corrupt("a call has the wrong number of arguments");
  if (const auto* old = std::get_if<OldText>(&arguments[0])) return BytesText{old->text};
  if (std::holds_alternative<Latin1Text>(arguments[0])) return arguments[0];
  return as<BytesText>(arguments[0], "bytes");
}

// Adds a tensor in a storage. Without a dtype, it gets the dtype of its storage.
Cell Machine::add_tensor(const Cell& storage_cell, std::optional<c10::ScalarType> dtype,
                         Cells offset_sizes_strides, bool requires_grad) {
  const Storage& storage = graph_.storages[as<StorageAt>(storage_cell, "a storage").index];
  if (!dtype) dtype = storage.dtype;
  if (!dtype) corrupt("a tensor's storage does not say its dtype");
  if (storage.dtype && *storage.dtype != *dtype) {
    corrupt("a tensor has another dtype than its storage");
  }
  // A storage that counts bytes may end within an element.
  const auto item_bytes = static_cast<int64_t>(c10::elementSize(*dtype));
  int64_t offset = as<int64_t>(offset_sizes_strides[0], "a storage offset");
  const bool is_part = storage.view_numel != storage.numel;
  if ((is_part && offset > storage.view_numel) ||
      __builtin_add_overflow(offset, storage.first, &offset)) {
    corrupt("a tensor reaches outside of its storage");
  }
  TensorLayout tensor{graph_.text(storage.key),
                      graph_.text(storage.location),
                      *dtype,
                      storage.dtype ? storage.numel : storage.numel / item_bytes,
                      offset,
                      integers(offset_sizes_strides[1]),
                      integers(offset_sizes_strides[2]),
                      requires_grad};
  if (tensor.sizes.size() != tensor.strides.size()) {
    corrupt("a tensor has another number of strides than of sizes");
  }
  budget_.charge(kTensorBytes);
  graph_.tensors.push_back(make_tensor_(tensor));
  return TensorAt{static_cast<uint32_t>(graph_.tensors.size() - 1)};
}

// (storage, offset, sizes, strides)
Cell Machine::rebuild_old_tensor(Cells arguments) {
  return add_tensor(arguments[0], std::nullopt, {arguments.begin() + 1, 3}, false);
}

// The arguments: (storage, offset, sizes, strides, requires_grad, hooks[, dtype][, what LibTorch 2
// adds]). Only v3 has the dtype; `required` counts the arguments with it.
Cell Machine::rebuild_tensor(Cells arguments, size_t required) {
  if (arguments.size() != required && arguments.size() != required + 1) {
    corrupt("a tensor has the wrong number of arguments");
  }
  std::optional<c10::ScalarType> dtype;
  if (required == 7) dtype = dtype_named(arguments[6]);
  if (!std::holds_alternative<None>(arguments[5])) {
    require_empty_dict(arguments[5], "backward hooks");
  }
  if (arguments.size() > required && !std::holds_alternative<None>(arguments[required])) {
    require_empty_dict(arguments[required],
                       "marks (conjugated or negative): resolve them before saving");
  }
  return add_tensor(arguments[0], dtype, {arguments.begin() + 1, 3},
                    as<bool>(arguments[4], "a tensor's requires_grad"));
}

// The arguments: (data, requires_grad, hooks[, state]). Returns `data` itself, changed: nothing
// else in the file refers to it.
Cell Machine::rebuild_parameter(Cells arguments) {
  const auto at = as<TensorAt>(arguments[0], "a parameter's tensor");
  require_empty_dict(arguments[2], "backward hooks");
  return require_grad(at, as<bool>(arguments[1], "a parameter's requires_grad"));
}

Cell Machine::require_grad(TensorAt at, bool requires_grad) {
  at::Tensor& tensor = graph_.tensors[at.index];
  // A file from before 1.6 is read twice; the first reading makes no tensors.
  if (!tensor.defined()) return at;
  if (requires_grad && !may_require_grad(tensor)) {
    corrupt("a parameter that is not of floating point requires a gradient");
  }
  tensor.set_requires_grad(requires_grad);
  return at;
}

// The arguments: (data[, requires_grad]). Before 0.4 a Parameter was written like this, and its
// state follows.
Cell Machine::make_parameter(Cells arguments) {
  if (arguments.empty() || arguments.size() > 2) {
    corrupt("a parameter has the wrong number of arguments");
  }
  const auto at = as<TensorAt>(arguments[0], "a parameter's tensor");
  if (arguments.size() == 2) {
    return require_grad(at, as<bool>(arguments[1], "a parameter's requires_grad"));
  }
  const at::Tensor& tensor = graph_.tensors[at.index];
  return require_grad(at, tensor.defined() && may_require_grad(tensor));
}

// The state: (requires_grad, volatile, hooks).
void Machine::build_parameter(TensorAt at, const Cell& state) {
  const Cells fields = tuple(state, "a parameter's state");
  if (fields.size() != 3) unsupported("a tensor has a state of its own", "Nothing was run");
  if (!std::holds_alternative<None>(fields[2])) require_empty_dict(fields[2], "backward hooks");
  require_grad(at, as<bool>(fields[0], "a parameter's requires_grad"));
}

// The arguments: (tensor, dtype, device, requires_grad). Tensors of XLA and the like are saved like
// this.
Cell Machine::rebuild_from_cpu(Cells arguments) {
  const auto at = as<TensorAt>(arguments[0], "a tensor");
  const c10::ScalarType dtype = dtype_named(arguments[1]);
  const at::Tensor& tensor = graph_.tensors[at.index];
  if (tensor.defined() && tensor.scalar_type() != dtype) {
    unsupported("a tensor would be converted to another dtype");
  }
  return require_grad(at, as<bool>(arguments[3], "a tensor's requires_grad"));
}

// The arguments: (function, class, arguments, state). This makes a tensor with attributes of its
// own, which are left out.
Cell Machine::rebuild_from_type(Cells arguments) {
  if (arguments.size() != 4) corrupt("a tensor has the wrong number of arguments");
  const auto function = as<Global>(arguments[0], "the name of a function");
  if (function != Global::kRebuildTensor && function != Global::kRebuildTensorV3 &&
      function != Global::kRebuildOldTensor && function != Global::kRebuildParameter &&
      function != Global::kRebuildParameterWithState) {
    corrupt("a tensor is not made by a function for tensors");
  }
  const auto type = as<Global>(arguments[1], "a tensor's class");
  if (type != Global::kTensorClass && type != Global::kParameterClass) {
    corrupt("expected a tensor class");
  }
  return call(function, arguments[2]);
}

std::vector<int64_t> Machine::integers(const Cell& cell) {
  const SizeAt* const size = std::get_if<SizeAt>(&cell);
  const Cells cells =
      size != nullptr ? graph_.tuple(size->index) : tuple(cell, "a tuple of integers");
  if (cells.size() > kMaxDimensions) {
    unsupported("a tensor has " + std::to_string(cells.size()) + " dimensions");
  }
  std::vector<int64_t> values;
  values.reserve(cells.size());
  for (const Cell& value : cells) values.push_back(as<int64_t>(value, "an integer"));
  return values;
}

void Machine::require_empty_dict(const Cell& cell, const char* what) {
  if (!graph_.nodes[as<DictAt>(cell, "a dict").index].empty()) {
    unsupported(std::string("a tensor has ") + what);
  }
}

}  // namespace checkpoint::format::pickle
