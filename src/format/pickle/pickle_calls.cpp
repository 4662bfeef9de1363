// The second half of the pickle machine: what the names that a pickle may call stand for. None of
// them is called. Devices, dicts and other containers are made here as the graph's cells, tensors
// and storages in pickle_tensors.cpp. An object of any other class becomes an opaque one, with its
// parts.

#include "base/in_quotes.h"
#include "format/pickle/pickle_globals.h"
#include "format/pickle/pickle_machine.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace checkpoint::format::pickle {

std::string Machine::quoted_class(ClassName name) const {
  const auto& [module, short_name] = graph_.classes[name.index];
  return base::in_quotes(std::string(graph_.text(module)) + '.' +
                         std::string(graph_.text(short_name)));
}

void Machine::wrong(const Cell& cell, const char* wanted) const {
  if (const auto* name = std::get_if<ForeignName>(&cell)) {
    const Name& foreign = graph_.foreign[name->index];
    unsupported("there is " + base::in_quotes(foreign.text()) +
                ", which this library does not know, instead of " + wanted);
  }
  if (const auto* at = std::get_if<OpaqueAt>(&cell)) {
    const Name& name = graph_.opaques[at->index].name;
    unsupported("there is an object of the class " + base::in_quotes(name.text()) +
                ", which this library does not know, instead of " + wanted);
  }
  corrupt(std::string("there is something else than ") + wanted);
}

Cells Machine::tuple(const Cell& cell, const char* wanted) const {
  return graph_.tuple(as<TupleAt>(cell, wanted).index);
}

// The elements of a tuple or a list.
Cells Machine::elements(const Cell& cell, const char* wanted) const {
  const auto* list = std::get_if<ListAt>(&cell);
  return list != nullptr ? graph_.list(list->index) : tuple(cell, wanted);
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
      dimensions(arguments[0]);
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

}  // namespace checkpoint::format::pickle
