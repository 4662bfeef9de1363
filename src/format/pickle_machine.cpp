#include "format/pickle_machine.h"

#include "format/in_quotes.h"
#include "format/pickle_globals.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace checkpoint::format::pickle {

namespace {

// Those that LibTorch 1.13 to 2.x write. Python's pickletools documents them.
enum Opcode : unsigned char {
  kMark = '(',
  kStop = '.',
  kNone = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8a,
  kBinFloat = 'G',
  kBinUnicode = 'X',
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kGlobal = 'c',
  kBinPersId = 'Q',
  kReduce = 'R',
  kNewObj = 0x81,
  kBuild = 'b',
  kProto = 0x80,
};

constexpr uint64_t kProtocol = 2;
// Longer than any name of a class that TorchScript makes.
constexpr size_t kMaxLineBytes = 4096;
// What LibTorch itself can work with.
constexpr size_t kMaxDimensions = 64;
// A tensor without its elements: its object, its storage's, and the table's row.
constexpr uint64_t kTensorBytes = 1024;

// A list of a million Nones takes a byte of the pickle for each, and sizeof(Value) in the tree; a
// dict's entries take more. Strings are the ones that a pickle holds once and a tree many times.
constexpr uint64_t kBudgetPerByte = 256;
constexpr uint64_t kBudgetAtLeast = uint64_t{16} << 20;
constexpr uint64_t kBudgetAtMost = uint64_t{4} << 30;

std::string hex(unsigned char byte) {
  constexpr char kDigits[] = "0123456789abcdef";
  return {'0', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
}

}  // namespace

Budget::Budget(size_t pickle_bytes, const std::string& file)
    : file_(file), left_(std::min(kBudgetAtMost, kBudgetAtLeast + kBudgetPerByte * pickle_bytes)) {}

void Budget::charge(uint64_t bytes) {
  if (bytes > left_) {
    throw Error(ErrorCode::kUnsupported,
                "the pickle would unfold into far more memory than its size explains", file_);
  }
  left_ -= bytes;
}

Machine::Machine(std::string_view bytes, const std::string& file, const TensorMaker& make_tensor,
                 Budget& budget)
    : file_(file), make_tensor_(make_tensor), budget_(budget) {
  graph_.bytes = bytes;
}

Item Machine::run() {
  if (graph_.bytes.size() > kMaxPickleBytes) unsupported("the pickle is too large");
  if (take_number(1) != kProto) corrupt("it does not begin as a pickle does");
  const uint64_t protocol = take_number(1);
  if (protocol != kProtocol) {
    unsupported("it is written in pickle protocol " + std::to_string(protocol) + ", not 2");
  }
  while (step()) {
  }
  if (position_ != graph_.bytes.size()) corrupt("there are bytes behind its end");
  if (!marks_.empty() || stack_.size() != 1) corrupt("its end leaves not one value, but others");
  return stack_.back();
}

// One opcode; false if it was the last.
bool Machine::step() {
  opcode_at_ = position_;
  const auto opcode = static_cast<unsigned char>(take_number(1));
  switch (opcode) {
    case kStop:
      return false;
    case kMark:
      marks_.push_back(stack_.size());
      break;
    case kNone:
      push(None{});
      break;
    case kNewTrue:
      push(true);
      break;
    case kNewFalse:
      push(false);
      break;
    case kBinInt:
      push(static_cast<int64_t>(static_cast<int32_t>(take_number(4))));
      break;
    case kBinInt1:
      push(static_cast<int64_t>(take_number(1)));
      break;
    case kBinInt2:
      push(static_cast<int64_t>(take_number(2)));
      break;
    case kLong1:
      push_long();
      break;
    case kBinFloat:
      push_double();
      break;
    case kBinUnicode:
      push_text(4);
      break;
    case kEmptyTuple:
      push_node<TupleAt>({});
      break;
    case kTuple:
      push_node<TupleAt>(pop_to_mark());
      break;
    case kTuple1:
      push_node<TupleAt>(pop_many(1));
      break;
    case kTuple2:
      push_node<TupleAt>(pop_many(2));
      break;
    case kTuple3:
      push_node<TupleAt>(pop_many(3));
      break;
    case kEmptyList:
      push_node<ListAt>({});
      break;
    case kAppend:
      append(pop_many(1));
      break;
    case kAppends:
      append(pop_to_mark());
      break;
    case kEmptyDict:
      push_node<DictAt>({});
      break;
    case kSetItem:
      set_items(pop_many(2));
      break;
    case kSetItems:
      set_items(pop_to_mark());
      break;
    case kBinPut:
      put(take_number(1));
      break;
    case kLongBinPut:
      put(take_number(4));
      break;
    case kBinGet:
      get(take_number(1));
      break;
    case kLongBinGet:
      get(take_number(4));
      break;
    case kGlobal:
      push_global();
      break;
    case kBinPersId:
      push_storage();
      break;
    case kReduce:
      reduce();
      break;
    case kNewObj:
      make_object();
      break;
    case kBuild:
      build();
      break;
    default:
      unsupported("the opcode " + hex(opcode) + " is not one that LibTorch writes");
  }
  return true;
}

std::string_view Machine::take(size_t count) {
  if (count > graph_.bytes.size() - position_) corrupt("it is cut off");
  const std::string_view taken = graph_.bytes.substr(position_, count);
  position_ += count;
  return taken;
}

uint64_t Machine::take_number(size_t width) {
  uint64_t value = 0;
  const std::string_view bytes = take(width);
  for (size_t i = 0; i < width; ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return value;
}

std::string_view Machine::take_line() {
  const size_t end = graph_.bytes.substr(position_, kMaxLineBytes).find('\n');
  if (end == std::string_view::npos) corrupt("a name in it has no end");
  const std::string_view line = take(end);
  take(1);
  return line;
}

Text Machine::text_of(std::string_view part) const {
  return {static_cast<uint32_t>(part.data() - graph_.bytes.data()),
          static_cast<uint32_t>(part.size())};
}

std::string Machine::quoted_class(ClassName name) const {
  std::string text(graph_.text(name.text));
  std::replace(text.begin(), text.end(), '\n', '.');
  return in_quotes(text);
}

Item Machine::pop() {
  const Item item = top();
  stack_.pop_back();
  return item;
}

Item& Machine::top() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) corrupt("its stack is empty");
  return stack_.back();
}

std::vector<Item> Machine::pop_to_mark() {
  if (marks_.empty()) corrupt("its stack has no mark");
  std::vector<Item> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()),
                          stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return items;
}

std::vector<Item> Machine::pop_many(size_t count) {
  std::vector<Item> items(count);
  for (auto item = items.rbegin(); item != items.rend(); ++item) *item = pop();
  return items;
}

// Little-endian two's complement, of as few bytes as Python likes.
void Machine::push_long() {
  const uint64_t width = take_number(1);
  if (width > sizeof(int64_t)) {
    unsupported("an integer of " + std::to_string(width) + " bytes is larger than LibTorch's");
  }
  uint64_t value = take_number(width);
  const bool negative = width > 0 && (value >> (8 * width - 1)) != 0;
  if (negative && width < sizeof(int64_t)) value |= ~uint64_t{0} << (8 * width);
  push(static_cast<int64_t>(value));
}

void Machine::push_double() {
  std::string bytes(take(sizeof(double)));
  std::reverse(bytes.begin(), bytes.end());  // Pickles have them big-endian.
  double value = 0;
  std::memcpy(&value, bytes.data(), sizeof(value));
  push(value);
}

void Machine::push_text(size_t length_bytes) {
  const uint64_t length = take_number(length_bytes);
  push(text_of(take(length)));
}

// Names are resolved here, before anything could be done with them.
void Machine::push_global() {
  const std::string_view module = take_line();
  const std::string_view name = take_line();
  if (is_script_module(module)) {
    push(ClassName{text_of(std::string_view(module.data(), module.size() + 1 + name.size()))});
    return;
  }
  if (const auto known = find_global(module, name)) {
    push(*known);
    return;
  }
  const std::string full = in_quotes(std::string(module) + "." + std::string(name));
  const std::string_view why = why_unknown(module, name);
  unsupported("it refers to " + full +
                  (why.empty() ? ", which this library does not know"
                               : " (" + std::string(why) + "), which this library does not read"),
              "Nothing was run");
}

// ('storage', class, key, location, elements): what LibTorch keeps in a record of its own.
void Machine::push_storage() {
  const auto& fields = graph_.nodes[as<TupleAt>(pop(), "a storage's description").index];
  if (fields.size() != 5 ||
      graph_.text(as<Text>(fields[0], "the word 'storage'")) != std::string_view("storage")) {
    corrupt("it refers to something outside that is no storage");
  }
  budget_.charge(sizeof(Storage));
  graph_.storages.push_back({as<StorageClass>(fields[1], "a storage's class").dtype,
                             as<Text>(fields[2], "a storage's key"),
                             as<Text>(fields[3], "a storage's location"),
                             as<int64_t>(fields[4], "a storage's size")});
  push(StorageAt{static_cast<uint32_t>(graph_.storages.size() - 1)});
}

template <typename At>
void Machine::push_node(std::vector<Item> items) {
  budget_.charge(sizeof(items) + items.size() * sizeof(Item));
  graph_.nodes.push_back(std::move(items));
  push(At{static_cast<uint32_t>(graph_.nodes.size() - 1)});
}

void Machine::put(uint64_t id) {
  // Picklers count up. This bounds the memo by the pickle's size, whatever the number says.
  if (id >= graph_.bytes.size()) corrupt("it remembers a value under an impossible number");
  if (id >= memo_.size()) memo_.resize(id + 1);
  memo_[id] = top();
}

void Machine::get(uint64_t id) {
  if (id >= memo_.size() || std::holds_alternative<Unset>(memo_[id])) {
    corrupt("it recalls a value that it has not remembered");
  }
  push(memo_[id]);
}

void Machine::append(std::vector<Item> items) {
  auto& list = graph_.nodes[as<ListAt>(top(), "a list to append to").index];
  list.insert(list.end(), items.begin(), items.end());
}

void Machine::set_items(std::vector<Item> items) {
  if (items.size() % 2 != 0) corrupt("a key in it has no value");
  auto& dict = graph_.nodes[as<DictAt>(top(), "a dict to fill").index];
  dict.insert(dict.end(), items.begin(), items.end());
}

void Machine::make_object() {
  const Item arguments = pop();
  const auto name = as<ClassName>(pop(), "a TorchScript class");
  if (!graph_.nodes[as<TupleAt>(arguments, "a class's arguments").index].empty()) {
    unsupported("an object of class " + quoted_class(name) + " is made with arguments");
  }
  push_node<ObjectAt>({});
}

// Gives an object its attributes. Anything else than a dict of them is meant for the class's
// __setstate__, which would have to be run.
void Machine::build() {
  const Item state = pop();
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
  push(call(global, graph_.nodes[as<TupleAt>(arguments, "a call's arguments").index]));
}

Item Machine::call(Global global, const std::vector<Item>& arguments) {
  const auto need = [&](size_t count) {
    if (arguments.size() != count) corrupt("a call has the wrong number of arguments");
  };
  switch (global) {
    case Global::kRebuildTensor:
      return rebuild_tensor(arguments);
    case Global::kTypedList:
      need(1);
      return as<ListAt>(arguments[0], "a list");
    case Global::kRestoreTypeTag:
      need(2);
      as<Text>(arguments[1], "the name of a type");
      return arguments[0];
    case Global::kOrderedDict:
      need(0);  // From here on `arguments` may have moved.
      push_node<DictAt>({});
      return pop();
    case Global::kComplex: {
      need(2);
      const auto real = as<double>(arguments[0], "a real part");
      const auto imaginary = as<double>(arguments[1], "an imaginary part");
      budget_.charge(sizeof(c10::complex<double>));
      graph_.complexes.emplace_back(real, imaginary);
      return ComplexAt{static_cast<uint32_t>(graph_.complexes.size() - 1)};
    }
    case Global::kDevice:
      need(1);
      return as<Text>(arguments[0], "the name of a device");
  }
  corrupt("a call is of an unknown kind");
}

// (storage, offset, sizes, strides, requires_grad, hooks[, what LibTorch 2 adds])
Item Machine::rebuild_tensor(const std::vector<Item>& arguments) {
  if (arguments.size() != 6 && arguments.size() != 7) {
    corrupt("a tensor has the wrong number of arguments");
  }
  const Storage& storage = graph_.storages[as<StorageAt>(arguments[0], "a storage").index];
  PickledTensor tensor{graph_.text(storage.key),
                       graph_.text(storage.location),
                       storage.dtype,
                       storage.numel,
                       as<int64_t>(arguments[1], "a storage offset"),
                       integers(arguments[2]),
                       integers(arguments[3]),
                       as<bool>(arguments[4], "a tensor's requires_grad")};
  if (tensor.sizes.size() != tensor.strides.size()) {
    corrupt("a tensor has another number of strides than of sizes");
  }
  require_empty_dict(arguments[5], "backward hooks");
  if (arguments.size() == 7) {
    require_empty_dict(arguments[6], "marks (conjugated or negative): resolve them before saving");
  }
  budget_.charge(kTensorBytes);
  graph_.tensors.push_back(make_tensor_(tensor));
  return TensorAt{static_cast<uint32_t>(graph_.tensors.size() - 1)};
}

std::vector<int64_t> Machine::integers(const Item& tuple) {
  const auto& items = graph_.nodes[as<TupleAt>(tuple, "a tuple of integers").index];
  if (items.size() > kMaxDimensions) {
    unsupported("a tensor has " + std::to_string(items.size()) + " dimensions");
  }
  std::vector<int64_t> values;
  values.reserve(items.size());
  for (const Item& item : items) values.push_back(as<int64_t>(item, "an integer"));
  return values;
}

void Machine::require_empty_dict(const Item& item, const char* what) {
  if (!graph_.nodes[as<DictAt>(item, "a dict").index].empty()) {
    unsupported(std::string("a tensor has ") + what);
  }
}

template <typename T>
T Machine::as(const Item& item, const char* wanted) const {
  const T* value = std::get_if<T>(&item);
  if (value == nullptr) corrupt(std::string("there is something else than ") + wanted);
  return *value;
}

void Machine::corrupt(const std::string& what) const {
  throw Error(ErrorCode::kCorrupt, at_byte(what), file_);
}

void Machine::unsupported(const std::string& what, const std::string& hint) const {
  throw Error(ErrorCode::kUnsupported, at_byte(what), file_, 0, hint);
}

std::string Machine::at_byte(const std::string& what) const {
  return "the pickle cannot be read at byte " + std::to_string(opcode_at_) + ": " + what;
}

}  // namespace checkpoint::format::pickle
