#include "format/pickle/pickle_reader.h"

#include "format/tree/in_quotes.h"
#include "format/pickle/pickle_machine.h"
#include "format/pickle/utf8.h"
#include "format/tree/tagged.h"

#include <checkpoint/error.h>

#include <exception>
#include <string>
#include <utility>

namespace checkpoint::format {

namespace {

using namespace pickle;

constexpr int kMaxDepth = 256;
// A tensor without its elements.
constexpr uint64_t kStorageBytes = 1024;
// What a dict's entry takes: its value, its key twice, and a place in the index.
constexpr uint64_t kEntryBytes = sizeof(Value) + 2 * sizeof(Key) + 32;

// Unfolds the graph into a tree. What the graph shares is copied, and the budget bounds that.
class Unfolder {
 public:
  Unfolder(const Graph& graph, const std::string& file, const TensorMaker& make_tensor,
           Budget& budget)
      : graph_(graph), file_(file), make_tensor_(make_tensor), budget_(budget) {}

  Value unfold(const Item& item) {
    return std::visit([this](const auto& alternative) { return make(alternative); }, item);
  }

 private:
  // One level further down, as long as it lives.
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
           "it holds the device " + in_quotes(text) + ", which this LibTorch does not know");
    }
  }

  Value make(SizeAt at) {
    Size size;
    for (const Item& item : graph_.tuple(at.index)) size.sizes.push_back(std::get<int64_t>(item));
    budget_.charge(size.sizes.size() * sizeof(int64_t));
    return Value(std::move(size));
  }

  Value make(TensorAt at) { return Value(graph_.tensors[at.index]); }
  Value make(TupleAt at) {
    std::vector<Value> items = unfold_all(graph_.tuple(at.index));
    if (auto value = from_tagged(items)) return std::move(*value);
    return Value(Tuple{std::move(items)});
  }
  Value make(ListAt at) { return Value(unfold_all(graph_.nodes[at.index])); }

  Value make(DictAt at) {
    const Level level(*this);
    const std::vector<Item>& items = graph_.nodes[at.index];
    Dict dict;
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      Key key = make_key(items[i]);
      if (dict.contains(key)) {
        fail(ErrorCode::kCorrupt,
             "it has the key " + in_quotes(to_string(key)) + " twice in one dict");
      }
      dict.insert(std::move(key), unfold(items[i + 1]));
    }
    return Value(std::move(dict));
  }

  Value make(ObjectAt at) {
    const std::vector<Item>& state = graph_.nodes[at.index];
    if (state.empty()) fail(ErrorCode::kCorrupt, "an object in it has no state");
    return make(std::get<DictAt>(state.front()));
  }

  // A storage that no tensor stands for: all its elements, in one dimension.
  Value make(StorageAt at) {
    const Storage& storage = graph_.storages[at.index];
    budget_.charge(kStorageBytes);
    return Value(make_tensor_({graph_.text(storage.key), graph_.text(storage.location),
                               storage.dtype.value_or(c10::ScalarType::Byte), storage.numel,
                               storage.first, {storage.view_numel}, {1}, false}));
  }

  // Names of functions and the like, which no tree has a place for.
  template <typename Other>
  Value make(const Other&) {
    fail(ErrorCode::kCorrupt, "the name of a function stands where a value must");
  }

  std::vector<Value> unfold_all(Items items) {
    const Level level(*this);
    budget_.charge(items.size() * sizeof(Value));
    std::vector<Value> values;
    values.reserve(items.size());
    for (const Item& item : items) values.push_back(unfold(item));
    return values;
  }

  Key make_key(const Item& item) {
    budget_.charge(kEntryBytes);
    if (const auto* number = std::get_if<int64_t>(&item)) return Key(*number);
    if (const auto* text = std::get_if<Text>(&item)) return Key(copy(*text));
    if (const auto* text = std::get_if<OldText>(&item)) return Key(copy_old(text->text));
    fail(ErrorCode::kUnsupported, "a dict in it has a key that is no string and no integer");
  }

  // Each byte as the character of that number, in UTF-8.
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

  // Python 2 does not say what its bytes mean: mostly they are UTF-8, and any bytes are Latin-1.
  std::string copy_old(Text text) {
    const std::string_view bytes = graph_.text(text);
    if (is_utf8(bytes)) return copy(text);
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
};

}  // namespace

Value read_pickle(std::string_view bytes, const std::string& file, const TensorMaker& make_tensor,
                  size_t* end) {
  Budget budget(bytes.size(), file);
  Machine machine(bytes, file, make_tensor, budget);
  const Item root = machine.run();
  if (end != nullptr) {
    *end = machine.end();
  } else if (machine.end() != bytes.size()) {
    throw Error(ErrorCode::kCorrupt, "the pickle cannot be read: there are bytes behind its end",
                file);
  }
  return Unfolder(machine.graph(), file, make_tensor, budget).unfold(root);
}

std::vector<PickledStorage> read_storages(std::string_view bytes, const std::string& file,
                                          size_t* end) {
  Budget budget(bytes.size(), file);
  const TensorMaker make_nothing = [](const PickledTensor&) { return at::Tensor(); };
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
