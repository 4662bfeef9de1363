// The graph of a pickle becomes a tree. In the graph, one node may be used many times; a tree
// copies it each time, and the budget bounds that. A node inside itself is an error. Tagged tuples
// become the typed values that they stand for.

#include "format/pickle/pickle_reader.h"

#include "base/in_quotes.h"
#include "base/utf8.h"
#include "format/pickle/pickle_globals.h"
#include "format/pickle/pickle_machine.h"
#include "format/pickle/pickle_numpy.h"
#include "format/pickle/utf8.h"
#include "format/tree/tagged.h"

#include <checkpoint/error.h>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>

namespace checkpoint::format {

namespace {

using namespace pickle;

constexpr int kMaxDepth = 256;
// The nesting limit of objects that contain each other. Deeper ones have no parts.
constexpr int kMaxOpaqueDepth = 64;
// The memory of a tensor without its elements.
constexpr uint64_t kStorageBytes = 1024;
// The memory of a dict's entry: its value, its key twice, and a place in the index.
constexpr uint64_t kEntryBytes = sizeof(Value) + 2 * sizeof(Key) + 32;

// Unfolds the graph into a tree. Shared nodes are copied, and the budget bounds the copies.
class Unfolder {
 public:
  Unfolder(const Graph& graph, const std::string& file, const TensorMaker& make_tensor,
           Budget& budget)
      : graph_(graph), file_(file), make_tensor_(make_tensor), budget_(budget) {}

  Value unfold(const Cell& cell) {
    return std::visit([this](const auto& alternative) { return make(alternative); }, cell);
  }

 private:
  // Goes one level deeper, as long as it lives.
  class Level {
   public:
    explicit Level(Unfolder& unfolder) : unfolder_(unfolder) {
      if (++unfolder_.depth_ > kMaxDepth) {
        unfolder_.fail(ErrorCode::kUnsupported, "its values are nested deeper than " +
                                                    std::to_string(kMaxDepth) +
                                                    ", or contain themselves");
      }
    }
    ~Level() { --unfolder_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Unfolder& unfolder_;
  };

  Value make(None) { return Value(); }
  Value make(bool value) { return Value(value); }
  Value make(int64_t value) { return Value(value); }
  Value make(double value) { return Value(value); }
  Value make(Text text) { return Value(copy(text)); }
  Value make(OldText text) { return Value(copy_old(text.text)); }
  Value make(ComplexAt at) { return Value(graph_.complexes[at.index]); }
  Value make(Dtype dtype) { return Value(dtype.dtype); }
  Value make(LongText text) { return Value(BigInt{copy(text.text)}); }
  Value make(BytesText text) { return Value(Bytes{copy(text.text)}); }
  Value make(Latin1Text text) { return Value(Bytes{latin1(text.text)}); }

  Value make(DeviceAt at) {
    const auto& [type, index] = graph_.devices[at.index];
    std::string text = copy(type);
    if (index) text += ':' + std::to_string(*index);
    try {
      return Value(c10::Device(text));
    } catch (const std::exception&) {
      fail(ErrorCode::kUnsupported,
           "it holds the device " + base::in_quotes(text) + ", which this LibTorch does not know");
    }
  }

  Value make(SizeAt at) {
    Size size;
    for (const Cell& cell : graph_.tuple(at.index)) size.sizes.push_back(std::get<int64_t>(cell));
    budget_.charge(size.sizes.size() * sizeof(int64_t));
    return Value(std::move(size));
  }

  Value make(TensorAt at) { return Value(graph_.tensors[at.index]); }
  Value make(TupleAt at) {
    std::vector<Value> elements = unfold_all(graph_.tuple(at.index));
    if (auto value = from_tagged(elements)) return std::move(*value);
    return Value(Tuple{std::move(elements)});
  }
  Value make(ListAt at) { return Value(unfold_all(graph_.nodes[at.index])); }

  Value make(DictAt at) {
    const Level level(*this);
    const std::vector<Cell>& cells = graph_.nodes[at.index];
    if (const Cell* odd = find_odd_key(cells)) return opaque_dict(cells, *odd);
    Dict dict;
    for (size_t i = 0; i + 1 < cells.size(); i += 2) {
      Key key = make_key(cells[i]);
      if (dict.contains(key)) {
        fail(ErrorCode::kCorrupt,
             "it has the key " + base::in_quotes(to_string(key)) + " twice in one dict");
      }
      dict.insert(std::move(key), unfold(cells[i + 1]));
    }
    return Value(std::move(dict));
  }

  Value make(ObjectAt at) {
    const std::vector<Cell>& state = graph_.nodes[at.index];
    if (state.empty()) fail(ErrorCode::kCorrupt, "an object in it has no state");
    return make(std::get<DictAt>(state.front()));
  }

  // A storage without a tensor: all its elements, in one dimension.
  Value make(StorageAt at) {
    const Storage& storage = graph_.storages[at.index];
    budget_.charge(kStorageBytes);
    return Value(make_tensor_({graph_.text(storage.key),
                               graph_.text(storage.location),
                               storage.dtype.value_or(c10::ScalarType::Byte),
                               storage.numel,
                               storage.first,
                               {storage.view_numel},
                               {1},
                               false}));
  }

  // Names that are used as values.
  Value make(ForeignName name) { return name_alone(graph_.foreign[name.index]); }
  Value make(Global global) { return name_alone(name_of(global)); }
  Value make(StorageClass type) {
    const std::string name = std::string(c10::toString(type.dtype)) + "Storage";
    return name_alone({"torch", name});
  }
  Value make(UntypedStorageClass) { return name_alone({"torch.storage", "UntypedStorage"}); }
  Value make(ClassName name) {
    const auto& [module, short_name] = graph_.classes[name.index];
    return name_alone({graph_.text(module), graph_.text(short_name)});
  }
  Value make(Unset) { fail(ErrorCode::kCorrupt, "a value is missing"); }

  Value name_alone(Name name) { return Value(Opaque{full_name(name), {}}); }

  // Each object gets its parts only at its first place: objects may contain each other in circles.
  Value make(OpaqueAt at) {
    const OpaqueObject& object = graph_.opaques[at.index];
    if (const auto data = find_numpy(graph_, object)) {
      if (auto value = plain_value(*data)) return std::move(*value);
    }
    Opaque opaque{full_name(object.name), {}};
    if (opaque_depth_ >= kMaxOpaqueDepth || !unfolded_.insert(at.index).second) {
      return Value(std::move(opaque));
    }
    const Level level(*this);
    ++opaque_depth_;
    opaque.parts = unfold_all(arguments_of(object));
    for (const Cell* part : {&object.keywords, &object.list, &object.dict}) {
      if (!std::holds_alternative<None>(*part)) opaque.parts.push_back(unfold(*part));
    }
    if (object.has_state) opaque.parts.push_back(unfold(object.state));
    --opaque_depth_;
    return Value(std::move(opaque));
  }

  // NumPy's numbers become Python's, and its arrays become tensors.
  std::optional<Value> plain_value(const NumpyData& data) {
    std::string bytes = bytes_of(data.bytes);
    if (!data.is_array) return numpy_value(data.type, std::move(bytes));
    const auto dtype = numpy_dtype(data.type);
    const auto strides = numpy_strides(data, bytes.size());
    if (!dtype || !strides) return std::nullopt;
    budget_.charge(kStorageBytes);
    TensorLayout tensor{{},
                        "cpu",
                        *dtype,
                        static_cast<int64_t>(bytes.size()) / data.type.width,
                        0,
                        dimensions_of(data.sizes),
                        dimensions_of(*strides),
                        false};
    tensor.big_endian = data.type.big_endian;
    tensor.bytes = std::make_shared<const std::string>(std::move(bytes));
    return Value(make_tensor_(tensor));
  }

  std::string bytes_of(const Cell& cell) {
    if (const auto* text = std::get_if<Latin1Text>(&cell)) return latin1(text->text);
    if (const auto* text = std::get_if<OldText>(&cell)) return copy(text->text);
    return copy(std::get<BytesText>(cell).text);
  }

  Cells arguments_of(const OpaqueObject& object) const {
    const auto* arguments = std::get_if<TupleAt>(&object.arguments);
    return arguments != nullptr ? graph_.tuple(arguments->index) : Cells(nullptr, 0);
  }

  std::string full_name(Name name) {
    budget_.charge(sizeof(Opaque) + name.module.size() + name.name.size());
    return name.text();
  }

  static const Cell* find_odd_key(const std::vector<Cell>& cells) {
    for (size_t i = 0; i + 1 < cells.size(); i += 2) {
      if (!std::holds_alternative<int64_t>(cells[i]) && !std::holds_alternative<Text>(cells[i]) &&
          !std::holds_alternative<OldText>(cells[i])) {
        return &cells[i];
      }
    }
    return nullptr;
  }

  // A dict with keys that a tree cannot hold becomes an opaque value of (key, value) pairs.
  Value opaque_dict(const std::vector<Cell>& cells, const Cell& odd) {
    Opaque opaque{"dict with the key " + key_text(odd, 0), {}};
    budget_.charge(cells.size() * (sizeof(Value) + sizeof(Tuple)));
    for (size_t i = 0; i + 1 < cells.size(); i += 2) {
      opaque.parts.emplace_back(Tuple{{unfold(cells[i]), unfold(cells[i + 1])}});
    }
    return Value(std::move(opaque));
  }

  // Returns the key as Python writes it, shortened.
  std::string key_text(const Cell& cell, int depth) {
    if (std::holds_alternative<None>(cell)) return "None";
    if (const auto* truth = std::get_if<bool>(&cell)) return *truth ? "True" : "False";
    if (const auto* number = std::get_if<int64_t>(&cell)) return std::to_string(*number);
    if (const auto* number = std::get_if<double>(&cell)) return std::to_string(*number);
    if (const auto* text = std::get_if<Text>(&cell)) return base::in_quotes(graph_.text(*text));
    if (const auto* text = std::get_if<OldText>(&cell))
      return base::in_quotes(graph_.text(text->text));
    if (const auto* name = std::get_if<ForeignName>(&cell)) {
      return full_name(graph_.foreign[name->index]);
    }
    if (const auto* object = std::get_if<OpaqueAt>(&cell)) {
      return full_name(graph_.opaques[object->index].name) + "(...)";
    }
    const auto* tuple = std::get_if<TupleAt>(&cell);
    if (tuple == nullptr) return "of another kind";
    constexpr size_t kShown = 4;
    std::string text;
    for (const Cell& part : graph_.tuple(tuple->index)) {
      if (depth > 1 || text.size() > 16 * kShown) return '(' + text + ", ...)";
      text += (text.empty() ? "" : ", ") + key_text(part, depth + 1);
    }
    return '(' + text + ')';
  }

  std::vector<Value> unfold_all(Cells cells) {
    const Level level(*this);
    budget_.charge(cells.size() * sizeof(Value));
    std::vector<Value> values;
    values.reserve(cells.size());
    for (const Cell& cell : cells) values.push_back(unfold(cell));
    return values;
  }

  Key make_key(const Cell& cell) {
    budget_.charge(kEntryBytes);
    if (const auto* number = std::get_if<int64_t>(&cell)) return Key(*number);
    if (const auto* text = std::get_if<Text>(&cell)) return Key(copy(*text));
    if (const auto* text = std::get_if<OldText>(&cell)) return Key(copy_old(text->text));
    fail(ErrorCode::kCorrupt, "a key is missing");
  }

  // Decodes bytes that are written as a UTF-8 text: each character is one byte with its number.
  std::string latin1(Text text) {
    const std::string_view utf8 = graph_.text(text);
    budget_.charge(utf8.size());
    std::string bytes;
    bytes.reserve(utf8.size());
    for (size_t i = 0; i < utf8.size(); ++i) {
      const auto first = static_cast<unsigned char>(utf8[i]);
      if (first < 0x80) {
        bytes += static_cast<char>(first);
        continue;
      }
      const bool pair = (first == 0xc2 || first == 0xc3) && i + 1 < utf8.size() &&
                        (static_cast<unsigned char>(utf8[i + 1]) & 0xc0) == 0x80;
      if (!pair) fail(ErrorCode::kCorrupt, "bytes in it are written as a text that holds none");
      bytes += static_cast<char>(((first & 3) << 6) | (utf8[++i] & 0x3f));
    }
    return bytes;
  }

  // Python 2 does not say how its texts are encoded. Most are UTF-8; the rest is read as Latin-1,
  // which accepts any bytes.
  std::string copy_old(Text text) {
    const std::string_view bytes = graph_.text(text);
    if (base::is_valid_utf8(bytes)) return copy(text);
    budget_.charge(2 * bytes.size());
    std::string utf8;
    for (const char c : bytes) append_latin1(utf8, c);
    return utf8;
  }

  std::string copy(Text text) {
    budget_.charge(text.size);
    return std::string(graph_.text(text));
  }

  [[noreturn]] void fail(ErrorCode code, const std::string& what) const {
    throw Error(code, "the pickle cannot be read: " + what, file_);
  }

  const Graph& graph_;
  const std::string& file_;
  const TensorMaker& make_tensor_;
  Budget& budget_;
  int depth_ = 0;
  int opaque_depth_ = 0;
  std::unordered_set<uint32_t> unfolded_;  // The opaque objects that already have their parts.
};

}  // namespace

Value read_pickle(std::string_view bytes, const std::string& file, const TensorMaker& make_tensor,
                  size_t* end) {
  Budget budget(bytes.size(), file);
  Machine machine(bytes, file, make_tensor, budget);
  const Cell root = machine.run();
  if (end != nullptr) {
    *end = machine.end();
  } else if (machine.end() != bytes.size()) {
    throw Error(ErrorCode::kCorrupt, "the pickle cannot be read: bytes follow its end", file);
  }
  return Unfolder(machine.graph(), file, make_tensor, budget).unfold(root);
}

std::vector<PickledStorage> read_storages(std::string_view bytes, const std::string& file,
                                          size_t* end) {
  Budget budget(bytes.size(), file);
  const TensorMaker make_nothing = [](const TensorLayout&) { return at::Tensor(); };
  Machine machine(bytes, file, make_nothing, budget);
  machine.run();
  *end = machine.end();
  std::vector<PickledStorage> storages;
  storages.reserve(machine.graph().storages.size());
  for (const Storage& storage : machine.graph().storages) {
    storages.push_back(
        {std::string(machine.graph().text(storage.key)), storage.dtype, storage.numel});
  }
  return storages;
}

}  // namespace checkpoint::format
