// The first half of the pickle machine: the opcodes. It runs a pickle's program on a stack of
// cells, as Python's does, and makes the graph of pickle_graph.h. It knows no class and calls
// nothing: what a name stands for is in pickle_calls.cpp. Everything that it makes is charged to a
// budget, which the pickle's size bounds.

#include "format/pickle/pickle_machine.h"

#include "base/in_quotes.h"
#include "base/little_endian.h"
#include "format/pickle/pickle_globals.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace checkpoint::format::pickle {

namespace {

// The opcodes of protocols 2 to 5 that LibTorch, Python and Python 2 write for plain data. Some
// more occur only in files that are refused by name. Python's pickletools documents them all.
enum Opcode : unsigned char {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kNone = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kBinFloat = 'G',
  kBinUnicode = 'X',
  kBinString = 'T',
  kShortBinString = 'U',
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kBinBytes8 = 0x8e,
  kByteArray8 = 0x96,
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kSetItem = 's',
  kSetItems = 'u',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kMemoize = 0x94,
  kGlobal = 'c',
  kStackGlobal = 0x93,
  kBinPersId = 'Q',
  kReduce = 'R',
  kNewObj = 0x81,
  kNewObjEx = 0x92,
  kBuild = 'b',
  kProto = 0x80,
  kFrame = 0x95,
};

constexpr uint64_t kFirstProtocol = 2;
constexpr uint64_t kLastProtocol = 5;
// The size of an integer: more than the state of any random generator needs.
constexpr uint64_t kMaxLongBytes = 1024;
// Longer than the name of any class that TorchScript makes.
constexpr size_t kMaxLineBytes = 4096;
// More than files of plain data need. A tensor takes 50 bytes in a pickle and less than 2,000 in
// memory; a small integer takes 2 and 100.
constexpr uint64_t kBudgetPerByte = 64;
constexpr uint64_t kBudgetAtLeast = uint64_t{8} << 20;
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
                 Budget& budget, AllowsName allows)
    : file_(file), make_tensor_(make_tensor), budget_(budget), allows_(std::move(allows)) {
  graph_.bytes = bytes;
}

Cell Machine::run() {
  if (graph_.bytes.size() > kMaxPickleBytes) unsupported("the pickle is too large");
  if (take_number(1) != kProto) corrupt("it does not begin as a pickle of protocol 2 to 5 does");
  const uint64_t protocol = take_number(1);
  if (protocol < kFirstProtocol || protocol > kLastProtocol) {
    unsupported("it is written in pickle protocol " + std::to_string(protocol) + ", not 2 to 5");
  }
  while (step()) {
  }
  if (!marks_.empty() || stack_.size() != 1) corrupt("its end leaves not one value, but others");
  return stack_.back();
}

// Runs one opcode. Returns false if it was the last one.
bool Machine::step() {
  opcode_at_ = position_;
  const auto opcode = static_cast<unsigned char>(take_number(1));
  switch (opcode) {
    case kStop:
      return false;
    case kMark:
      marks_.push_back(stack_.size());
      break;
    case kPop:
      pop_one();
      break;
    case kPopMark:
      pop_many(take_mark());
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
      push_long(take_number(1));
      break;
    case kLong4:
      push_long(take_number(4));
      break;
    case kBinFloat:
      push_double();
      break;
    case kShortBinString:
      push(OldText{take_text(1)});
      break;
    case kBinString:
      push(OldText{take_text(4)});
      break;
    case kShortBinUnicode:
      push(take_text(1));
      break;
    case kBinUnicode:
      push(take_text(4));
      break;
    case kBinUnicode8:
      push(take_text(8));
      break;
    case kShortBinBytes:
      push(BytesText{take_text(1)});
      break;
    case kBinBytes:
      push(BytesText{take_text(4)});
      break;
    case kBinBytes8:
    case kByteArray8:
      push(BytesText{take_text(8)});
      break;
    case kEmptyTuple:
      push_tuple(0);
      break;
    case kTuple:
      push_tuple(take_mark());
      break;
    case kTuple1:
      push_tuple(1);
      break;
    case kTuple2:
      push_tuple(2);
      break;
    case kTuple3:
      push_tuple(3);
      break;
    case kEmptyList:
    case kEmptySet:  // A set becomes a list: trees have no sets.
      push_node<ListAt>({});
      break;
    case kFrozenSet:
      push_node<ListAt>(pop_many(take_mark()));
      break;
    case kAppend:
      append(pop_many(1));
      break;
    case kAppends:
    case kAddItems:
      append(pop_many(take_mark()));
      break;
    case kEmptyDict:
      push_node<DictAt>({});
      break;
    case kSetItem:
      set_entries(pop_many(2));
      break;
    case kSetItems:
      set_entries(pop_many(take_mark()));
      break;
    case kBinPut:
      put(take_number(1));
      break;
    case kLongBinPut:
      put(take_number(4));
      break;
    case kMemoize:
      put(memo_.size());
      break;
    case kBinGet:
      get(take_number(1));
      break;
    case kLongBinGet:
      get(take_number(4));
      break;
    case kFrame:
      // A frame changes nothing: its content is read like any other.
      if (take_number(8) > graph_.bytes.size() - position_) corrupt("a frame in it is cut off");
      break;
    case kGlobal: {
      const std::string_view module = take_line();
      push_global(module, take_line());
      break;
    }
    case kStackGlobal: {
      const Text name = text(pop(), "a name");
      push_global(graph_.text(text(pop(), "a module's name")), graph_.text(name));
      break;
    }
    case kBinPersId:
      if (allows_) unsupported("it refers to something outside of it", "Nothing was run");
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
    case kNewObjEx:
      make_object_with_keywords();
      break;
    default:
      unsupported("the opcode " + hex(opcode) +
                  " is not one that LibTorch or Python writes for plain data");
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
  return base::read_little_endian(take(width).data(), width);
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

Cell Machine::pop() {
  const Cell cell = top();
  stack_.pop_back();
  return cell;
}

Cell& Machine::top() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) corrupt("its stack is empty");
  return stack_.back();
}

// Pops a cell, or the mark if it is on top. Python writes this opcode if a tuple turns out to
// contain itself.
void Machine::pop_one() {
  if (!marks_.empty() && marks_.back() == stack_.size()) {
    marks_.pop_back();
  } else {
    pop();
  }
}

// Removes the last mark, and returns how many cells are above it.
size_t Machine::take_mark() {
  if (marks_.empty()) corrupt("its stack has no mark");
  const size_t count = stack_.size() - marks_.back();
  marks_.pop_back();
  return count;
}

// Returns the last cells, which stay on the stack.
Cells Machine::last(size_t count) const {
  if (stack_.size() - (marks_.empty() ? 0 : marks_.back()) < count) corrupt("its stack is empty");
  return {stack_.data() + (stack_.size() - count), count};
}

std::vector<Cell> Machine::pop_many(size_t count) {
  const Cells cells = last(count);
  std::vector<Cell> popped(cells.begin(), cells.end());
  stack_.resize(stack_.size() - count);
  return popped;
}

void Machine::push_tuple(size_t count) {
  const Cells cells = last(count);
  budget_.charge(sizeof(Graph::Tuple) + count * sizeof(Cell));
  graph_.tuples.push_back(
      {static_cast<uint32_t>(graph_.tuple_cells.size()), static_cast<uint32_t>(count)});
  graph_.tuple_cells.insert(graph_.tuple_cells.end(), cells.begin(), cells.end());
  stack_.resize(stack_.size() - count);
  push(TupleAt{static_cast<uint32_t>(graph_.tuples.size() - 1)});
}

// Little-endian two's complement, in any number of bytes.
void Machine::push_long(uint64_t width) {
  if (width > kMaxLongBytes) {
    unsupported("it holds an integer of " + std::to_string(width) + " bytes");
  }
  const std::string_view bytes = take(width);
  if (width > sizeof(int64_t)) {
    push(LongText{text_of(bytes)});
    return;
  }
  uint64_t value = base::read_little_endian(bytes.data(), width);
  const bool negative = width > 0 && (value >> (8 * width - 1)) != 0;
  if (negative && width < sizeof(int64_t)) value |= ~uint64_t{0} << (8 * width);
  push(static_cast<int64_t>(value));
}

void Machine::push_double() {
  std::string bytes(take(sizeof(double)));
  std::reverse(bytes.begin(), bytes.end());  // Pickles store doubles big-endian.
  double value = 0;
  std::memcpy(&value, bytes.data(), sizeof(value));
  push(value);
}

// Returns the bytes of a text, from Python 2 or 3.
Text Machine::text(const Cell& cell, const char* wanted) const {
  if (const auto* old = std::get_if<OldText>(&cell)) return old->text;
  return as<Text>(cell, wanted);
}

Text Machine::take_text(size_t length_bytes) {
  const uint64_t length = take_number(length_bytes);
  return text_of(take(length));
}

// Every name is resolved here, before it can be used.
void Machine::push_global(std::string_view module, std::string_view name) {
  if (allows_ && !allows_(module, name)) {
    unsupported("it refers to " + base::in_quotes(std::string(module) + "." + std::string(name)) +
                    ", which such a file does not need",
                "Nothing was run");
  }
  if (is_script_module(module)) {
    budget_.charge(2 * sizeof(Text));
    graph_.classes.emplace_back(text_of(module), text_of(name));
    push(ClassName{static_cast<uint32_t>(graph_.classes.size() - 1)});
    return;
  }
  if (const auto known = find_global(module, name)) {
    push(*known);
    return;
  }
  if (acts(module, name)) {
    unsupported("it refers to " + base::in_quotes(std::string(module) + "." + std::string(name)) +
                    ", by which a file does something in Python that no data needs",
                "Nothing was run. Do not load this file in Python");
  }
  budget_.charge(sizeof(Name));
  graph_.foreign.push_back({module, name});
  push(ForeignName{static_cast<uint32_t>(graph_.foreign.size() - 1)});
}

void Machine::put(uint64_t id) {
  // Picklers number their values from 0 on. So this limit on the number bounds the memo by the
  // pickle's size.
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

void Machine::append(std::vector<Cell> cells) {
  if (const auto* at = std::get_if<OpaqueAt>(&top())) {
    add_to<ListAt>(graph_.opaques[at->index].list, std::move(cells));
    return;
  }
  auto& list = graph_.nodes[as<ListAt>(top(), "a list to append to").index];
  list.insert(list.end(), cells.begin(), cells.end());
}

void Machine::set_entries(std::vector<Cell> cells) {
  if (cells.size() % 2 != 0) corrupt("a key in it has no value");
  if (const auto* at = std::get_if<OpaqueAt>(&top())) {
    add_to<DictAt>(graph_.opaques[at->index].dict, std::move(cells));
    return;
  }
  auto& dict = graph_.nodes[as<DictAt>(top(), "a dict to fill").index];
  dict.insert(dict.end(), cells.begin(), cells.end());
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
