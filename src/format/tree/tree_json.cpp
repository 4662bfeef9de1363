// A tree as JSON and back, for the metadata of safetensors files. Tensors are named by their place.
// What JSON has no form for (a tuple, an integer key, NaN) is an object with one key that says what
// it is.

#include "format/tree/tree_json.h"

#include "base/hex.h"
#include "base/in_quotes.h"
#include "base/json.h"
#include "format/tree/dtype.h"
#include "format/tree/opaque.h"
#include "format/tree/path.h"

#include <checkpoint/error.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <string_view>
#include <unordered_set>

namespace checkpoint::format {

namespace {

// Marks what JSON cannot express: an object with one of these as its only key.
constexpr char kTensor[] = "__tensor__";
constexpr char kTuple[] = "__tuple__";
constexpr char kDict[] = "__dict__";
constexpr char kDouble[] = "__float__";
constexpr char kComplex[] = "__complex__";
constexpr char kSize[] = "__size__";
constexpr char kDtype[] = "__dtype__";
constexpr char kDevice[] = "__device__";
constexpr char kBytes[] = "__bytes__";
constexpr char kBigInt[] = "__int__";

// Whether the dict can be written as a plain object without being mistaken for a marked one.
bool is_plain(const Dict& dict) {
  return std::all_of(dict.begin(), dict.end(), [](const auto& entry) {
    const auto* key = std::get_if<std::string>(&entry.first);
    return key != nullptr && key->substr(0, 2) != "__";
  });
}

// Writes a tree as JSON text. nlohmann's ordered objects are not used: their time is quadratic in
// their size.
class Encoder {
 public:
  std::string encode(const Value& tree) {
    put(tree, Path());
    return std::move(out_);
  }

 private:
  void put(const Value& value, const Path& path) {
    path.check_depth();
    switch (value.kind()) {
      case Value::Kind::kNone:
        out_ += "null";
        break;
      case Value::Kind::kBool:
        out_ += value.to_bool() ? "true" : "false";
        break;
      case Value::Kind::kInt:
        out_ += std::to_string(value.to_int());
        break;
      case Value::Kind::kDouble:
        put_double(value.to_double());
        break;
      case Value::Kind::kComplex:
        begin_special(kComplex);
        out_ += '[';
        put_double(value.to_complex().real());
        out_ += ',';
        put_double(value.to_complex().imag());
        out_ += "]}";
        break;
      case Value::Kind::kString:
        put_text(value.to_string());
        break;
      case Value::Kind::kTensor:
        put_special(kTensor, path.text());
        break;
      case Value::Kind::kList:
        put_all(value.list(), path);
        break;
      case Value::Kind::kTuple:
        begin_special(kTuple);
        put_all(value.tuple(), path);
        out_ += '}';
        break;
      case Value::Kind::kDict:
        put_dict(value.dict(), path);
        break;
      case Value::Kind::kSize: {
        begin_special(kSize);
        std::string separator = "[";
        for (const int64_t size : value.to_size()) {
          out_ += separator + std::to_string(size);
          separator = ",";
        }
        out_ += value.to_size().empty() ? "[]}" : "]}";
        break;
      }
      case Value::Kind::kDtype:
        put_special(kDtype, dtype_name(value.to_dtype()));
        break;
      case Value::Kind::kDevice:
        put_special(kDevice, value.to_device().str());
        break;
      case Value::Kind::kBytes:
        put_special(kBytes, base::to_hex(value.to_bytes()));
        break;
      case Value::Kind::kBigInt:
        put_special(kBigInt, base::to_hex(value.to_big_int().bytes));
        break;
      case Value::Kind::kOpaque:
        refuse_to_save(value.opaque(), path.text());
    }
  }

  void put_text(const std::string& text) { out_ += base::dump_json(text, -1); }

  void put_double(double value) {
    if (std::isfinite(value)) {
      out_ += base::dump_json(value, -1);
    } else {
      put_special(kDouble, std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    }
  }

  void begin_special(const char* kind) { out_ += std::string("{\"") + kind + "\":"; }

  void put_special(const char* kind, const std::string& text) {
    begin_special(kind);
    put_text(text);
    out_ += '}';
  }

  void put_all(const std::vector<Value>& values, const Path& path) {
    out_ += '[';
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out_ += ',';
      put(values[i], Path(path, i));
    }
    out_ += ']';
  }

  void put_dict(const Dict& dict, const Path& path) {
    const bool plain = is_plain(dict);
    if (!plain) begin_special(kDict);
    out_ += plain ? '{' : '[';
    bool first = true;
    for (const auto& [key, entry] : dict) {
      if (!first) out_ += ',';
      first = false;
      if (!plain) out_ += '[';
      if (const auto* name = std::get_if<std::string>(&key)) {
        put_text(*name);
      } else {
        out_ += std::to_string(std::get<int64_t>(key));
      }
      out_ += plain ? ':' : ',';
      put(entry, Path(path, key));
      if (!plain) out_ += ']';
    }
    out_ += plain ? "}" : "]}";
  }

  std::string out_;
};

// Makes the values while the JSON is parsed; no JSON document is built.
class Decoder final : public base::JsonEvents {
 public:
  Decoder(const std::string& file, const std::function<at::Tensor(const std::string&)>& find)
      : file_(file), find_(find) {}

  Value take() { return std::move(result_); }

  bool null() override { return add(Value()); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > uint64_t{std::numeric_limits<int64_t>::max()}) fail("a number is too large");
    return add(static_cast<int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& text) override { return add(std::move(text)); }
  bool start_object(std::size_t) override { return begin(); }
  bool start_array(std::size_t) override { return begin(); }
  bool key(string_t& name) override {
    open_.back().keys.push_back(std::move(name));
    return true;
  }
  bool end_array() override {
    std::vector<Value> values = std::move(open_.back().values);
    open_.pop_back();
    return add(Value(std::move(values)));
  }
  bool end_object() override {
    Open object = std::move(open_.back());
    open_.pop_back();
    if (object.keys.size() == 1 && object.keys.front().substr(0, 2) == "__") {
      return add(special(object.keys.front(), object.values.front()));
    }
    Dict dict;
    for (size_t i = 0; i < object.keys.size(); ++i) {
      insert(dict, std::move(object.keys[i]), std::move(object.values[i]));
    }
    return add(std::move(dict));
  }

 private:
  [[noreturn]] void malformed(size_t position, const std::string&) const override {
    fail("it is not JSON from byte " + std::to_string(position) + " on");
  }

  struct Open {
    std::vector<std::string> keys;  // If it is an object.
    std::vector<Value> values;
  };

  bool begin() {
    if (open_.size() > size_t{4} * Path::kMaxDepth) fail("it is nested too deep");
    open_.emplace_back();
    return true;
  }

  bool add(Value value) {
    if (open_.empty()) {
      result_ = std::move(value);
    } else {
      open_.back().values.push_back(std::move(value));
    }
    return true;
  }

  void insert(Dict& dict, Key key, Value value) const {
    if (dict.contains(key)) fail("the key " + base::in_quotes(to_string(key)) + " comes twice");
    dict.insert(std::move(key), std::move(value));
  }

  Value special(const std::string& kind, Value& content) const {
    if (content.kind() == Value::Kind::kList) return special_list(kind, content.list());
    if (content.kind() != Value::Kind::kString) fail("expected a text");
    const std::string& text = content.to_string();
    if (kind == kTensor) return find_(text);
    if (kind == kDouble) return special_double(text);
    if (kind == kBytes) return Bytes{bytes_from_hex(text)};
    if (kind == kBigInt) return BigInt{bytes_from_hex(text)};
    if (kind == kDtype) {
      if (const auto dtype = find_dtype(text)) return *dtype;
      fail("the dtype " + base::in_quotes(text) + " is unknown to this LibTorch");
    }
    if (kind == kDevice) {
      try {
        return c10::Device(text);
      } catch (const std::exception&) {
        fail("the device " + base::in_quotes(text) + " is unknown to this LibTorch");
      }
    }
    fail(base::in_quotes(kind) + " is not a kind of value");
  }

  Value special_list(const std::string& kind, const std::vector<Value>& items) const {
    if (kind == kTuple) return Tuple{items};
    if (kind == kDict) return special_dict(items);
    if (kind == kSize) {
      Size size;
      for (const Value& item : items) {
        if (item.kind() != Value::Kind::kInt) fail("a size is not an integer");
        size.sizes.push_back(item.to_int());
      }
      return size;
    }
    if (kind == kComplex) {
      if (items.size() != 2 || items[0].kind() != Value::Kind::kDouble ||
          items[1].kind() != Value::Kind::kDouble) {
        fail("a complex number is not a pair of numbers");
      }
      return c10::complex<double>(items[0].to_double(), items[1].to_double());
    }
    fail(base::in_quotes(kind) + " is not a kind of value");
  }

  Value special_dict(const std::vector<Value>& pairs) const {
    Dict dict;
    for (const Value& pair : pairs) {
      if (pair.kind() != Value::Kind::kList || pair.list().size() != 2) {
        fail("a dict's entry is not a pair");
      }
      const Value& key = pair.list()[0];
      if (key.kind() == Value::Kind::kInt) {
        insert(dict, key.to_int(), pair.list()[1]);
      } else if (key.kind() == Value::Kind::kString) {
        insert(dict, key.to_string(), pair.list()[1]);
      } else {
        fail("a dict has a key that is neither a string nor an integer");
      }
    }
    return dict;
  }

  Value special_double(const std::string& text) const {
    if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
    if (text == "inf") return std::numeric_limits<double>::infinity();
    if (text == "-inf") return -std::numeric_limits<double>::infinity();
    fail(base::in_quotes(text) + " is not a number");
  }

  std::string bytes_from_hex(const std::string& text) const {
    const auto bytes = base::from_hex(text);
    if (!bytes) fail("bytes in it are not written in hexadecimal");
    return *bytes;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::kCorrupt, "the tree in the metadata cannot be read: " + what, file_);
  }

  const std::string& file_;
  const std::function<at::Tensor(const std::string&)>& find_;
  std::vector<Open> open_;
  Value result_;
};

}  // namespace

std::string tree_to_json(const Value& tree) { return Encoder().encode(tree); }

Value tree_from_json(const std::string& text, const std::string& file,
                     const std::function<at::Tensor(const std::string& name)>& find) {
  Decoder decoder(file, find);
  decoder.read(text);
  return decoder.take();
}

std::vector<std::pair<std::string, at::Tensor>> named_tensors(const Value& tree) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  std::unordered_set<std::string> names;
  check_tensors_are_plain(tree);
  for_each_tensor(tree, Path(), [&](const Value& value, const Path& path) {
    tensors.emplace_back(path.text(), value.to_tensor());
    if (names.insert(tensors.back().first).second) return;
    throw Error(ErrorCode::kUnsupported,
                "two tensors would both be called " + base::in_quotes(tensors.back().first) +
                    " in a flat file",
                "", 0, "Rename one of them, or save as .pth.");
  });
  return tensors;
}

}  // namespace checkpoint::format
