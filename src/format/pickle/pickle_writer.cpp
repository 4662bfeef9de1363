// A tree as a pickle in protocol 2, as Python's torch.save writes it. Tensors refer to their
// storages by number (pth_storages.h). Texts and tensors that come again are remembered in the
// memo, as Python does.

#include "format/pickle/pickle_writer.h"

#include "base/in_quotes.h"
#include "base/little_endian.h"
#include "base/utf8.h"
#include "format/pickle/utf8.h"
#include "format/tree/dtype.h"
#include "format/tree/opaque.h"
#include "format/tree/path.h"

#include <checkpoint/error.h>

#include <cstring>
#include <limits>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace checkpoint::format {

namespace {

// Longer texts are written each time.
constexpr size_t kMaxRemembered = 64;

// Writes one pickle; used once.
class Pickler {
 public:
  explicit Pickler(const PthStorages& storages)
      : storages_(storages), tensor_memo_(storages.placements().size(), kNotYet) {}

  std::string pickle(const Value& tree, RootDict root) {
    out_ = "\x80\x02";
    if (root == RootDict::kOrdered && tree.is_dict()) {
      put_dict(tree.dict(), Path(), true);
    } else {
      put(tree, Path());
    }
    out_ += '.';
    return std::move(out_);
  }

 private:
  struct Named {
    std::string module;
    std::string name;
    uint32_t number;
  };

  static constexpr uint32_t kNotYet = std::numeric_limits<uint32_t>::max();

  void put(const Value& value, const Path& path) {
    path.check_depth();
    switch (value.kind()) {
      case Value::Kind::kNone:
        out_ += 'N';
        break;
      case Value::Kind::kBool:
        put_bool(value.to_bool());
        break;
      case Value::Kind::kInt:
        put_int(value.to_int());
        break;
      case Value::Kind::kDouble:
        put_double(value.to_double());
        break;
      case Value::Kind::kComplex:
        // In protocol 2 the module of built-in names has its Python 2 name.
        put_global("__builtin__", "complex");
        put_double(value.to_complex().real());
        put_double(value.to_complex().imag());
        out_ += "\x86R";
        break;
      case Value::Kind::kString:
        put_text(value.to_string(), path);
        break;
      case Value::Kind::kTensor:
        put_tensor(storages_.in_tree_order()[tensors_++], value.to_tensor().requires_grad());
        break;
      case Value::Kind::kList:
        out_ += ']';
        if (value.list().empty()) break;
        out_ += '(';
        put_all(value.list(), path);
        out_ += 'e';
        break;
      case Value::Kind::kTuple:
        out_ += value.tuple().empty() ? ")" : "(";
        if (value.tuple().empty()) break;
        put_all(value.tuple(), path);
        out_ += 't';
        break;
      case Value::Kind::kDict:
        put_dict(value.dict(), path, false);
        break;
      case Value::Kind::kSize:
        put_global("torch", "Size");
        put_integers(value.to_size());
        out_ += "\x85R";
        break;
      case Value::Kind::kDtype:
        put_global("torch", dtype_name(value.to_dtype()));
        break;
      case Value::Kind::kDevice:
        put_device(value.to_device(), path);
        break;
      case Value::Kind::kBytes:
        put_bytes(value.to_bytes());
        break;
      case Value::Kind::kBigInt:
        put_long(value.to_big_int().bytes);
        break;
      case Value::Kind::kOpaque:
        refuse_to_save(value.opaque(), path.text());
    }
  }

  void put_all(const std::vector<Value>& values, const Path& path) {
    for (size_t i = 0; i < values.size(); ++i) {
      put(values[i], Path(path, i));
    }
  }

  void put_dict(const Dict& dict, const Path& path, bool ordered) {
    if (ordered) {
      put_global("collections", "OrderedDict");
      out_ += ")R";
    } else {
      out_ += '}';
    }
    if (dict.empty()) return;
    out_ += '(';
    for (const auto& [key, entry] : dict) {
      const Path place(path, key);
      if (const auto* number = std::get_if<int64_t>(&key)) {
        put_int(*number);
      } else {
        put_text(std::get<std::string>(key), place);
      }
      put(entry, place);
    }
    out_ += 'u';
  }

  // Writes a tensor like Python's own Tensor.__reduce_ex__.
  void put_tensor(size_t index, bool requires_grad) {
    uint32_t& remembered = tensor_memo_[index];
    if (remembered != kNotYet) {
      recall(remembered);
      return;
    }
    const PthStorages::Placement& placement = storages_.placements()[index];
    const PthStorages::StorageBytes& record = storages_.storages()[placement.record];
    const c10::ScalarType dtype = placement.tensor.scalar_type();
    const bool untyped = record.mixed || !has_storage_class(dtype);
    put_global("torch._utils", untyped ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
    out_ += "((";
    put_text("storage", Path());
    if (untyped) {
      put_global("torch.storage", "UntypedStorage");
    } else {
      put_global("torch", std::string(c10::toString(dtype)) + "Storage");
    }
    put_plain_text(std::to_string(placement.record));
    put_text("cpu", Path());
    put_int(static_cast<int64_t>(untyped ? record.bytes
                                         : record.bytes / placement.tensor.element_size()));
    out_ += "tQ";
    put_int(placement.offset);
    put_integers(placement.tensor.sizes());
    put_integers(placement.tensor.strides());
    put_bool(requires_grad &&
             (placement.tensor.is_floating_point() || placement.tensor.is_complex()));
    put_global("collections", "OrderedDict");
    out_ += ")R";
    if (untyped) put_global("torch", dtype_name(dtype));
    out_ += "tR";
    remembered = remember();
  }

  // Whether Python has a storage class for the dtype. Newer dtypes have none.
  static bool has_storage_class(c10::ScalarType dtype) {
    switch (dtype) {
      case c10::ScalarType::Byte:
      case c10::ScalarType::Char:
      case c10::ScalarType::Short:
      case c10::ScalarType::Int:
      case c10::ScalarType::Long:
      case c10::ScalarType::Half:
      case c10::ScalarType::Float:
      case c10::ScalarType::Double:
      case c10::ScalarType::ComplexFloat:
      case c10::ScalarType::ComplexDouble:
      case c10::ScalarType::Bool:
      case c10::ScalarType::BFloat16:
        return true;
      default:
        return false;
    }
  }

  void put_device(const c10::Device& device, const Path& path) {
    put_global("torch", "device");
    const std::string name = device.str();
    put_text(name.substr(0, name.find(':')), path);
    if (device.has_index()) put_int(device.index());
    out_ += device.has_index() ? "\x86R" : "\x85R";
  }

  // Protocol 2 cannot hold bytes: they become a text, in which each character is one byte with its
  // number.
  void put_bytes(const std::string& bytes) {
    put_global("_codecs", "encode");
    std::string text;
    for (const char c : bytes) append_latin1(text, c);
    put_plain_text(text);
    put_plain_text("latin1");
    out_ += "\x86R";
  }

  void put_bool(bool value) { out_ += value ? '\x88' : '\x89'; }

  void put_int(int64_t value) {
    if (value >= 0 && value <= 0xff) {
      out_ += 'K';
      little(static_cast<uint64_t>(value), 1);
    } else if (value >= std::numeric_limits<int32_t>::min() &&
               value <= std::numeric_limits<int32_t>::max()) {
      out_ += 'J';
      little(static_cast<uint64_t>(value), 4);
    } else {
      out_ += "\x8a\x08";
      little(static_cast<uint64_t>(value), 8);
    }
  }

  void put_long(const std::string& bytes) {
    const bool is_short = bytes.size() < 0x100;
    out_ += is_short ? '\x8a' : '\x8b';
    little(bytes.size(), is_short ? 1 : 4);
    out_ += bytes;
  }

  void put_double(double value) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    out_ += 'G';
    for (int shift = 56; shift >= 0; shift -= 8) out_ += static_cast<char>(bits >> shift);
  }

  template <typename Integers>
  void put_integers(const Integers& values) {
    out_ += '(';
    for (const int64_t value : values) put_int(value);
    out_ += 't';
  }

  void put_text(const std::string& text, const Path& path) {
    const bool is_short = text.size() <= kMaxRemembered;
    if (is_short) {
      const auto known = text_memo_.find(text);
      if (known != text_memo_.end()) {
        recall(known->second);
        return;
      }
    }
    if (!base::is_valid_utf8(text)) {
      throw Error(ErrorCode::kUnsupported, "the text " + base::in_quotes(path.text()) +
                                               " is not valid UTF-8, and Python could not read it");
    }
    put_plain_text(text);
    if (is_short) text_memo_.emplace(text, remember());
  }

  void put_plain_text(const std::string& text) {
    if (text.size() > std::numeric_limits<uint32_t>::max()) {
      throw Error(ErrorCode::kUnsupported, "a text is longer than 4 GiB");
    }
    out_ += 'X';
    little(text.size(), 4);
    out_ += text;
  }

  void put_global(std::string_view module, std::string_view name) {
    // A linear search suffices: a pickle has few different names.
    for (const Named& known : globals_) {
      if (known.name == name && known.module == module) {
        recall(known.number);
        return;
      }
    }
    out_.append("c").append(module).append("\n").append(name).append("\n");
    globals_.push_back({std::string(module), std::string(name), remember()});
  }

  // Puts the value that was written last into the memo, and returns its number there.
  uint32_t remember() {
    const uint32_t number = remembered_++;
    out_ += number < 0x100 ? 'q' : 'r';
    little(number, number < 0x100 ? 1 : 4);
    return number;
  }

  void recall(uint32_t number) {
    out_ += number < 0x100 ? 'h' : 'j';
    little(number, number < 0x100 ? 1 : 4);
  }

  void little(uint64_t value, size_t width) { base::append_little_endian(out_, value, width); }

  const PthStorages& storages_;
  size_t tensors_ = 0;  // How many were met.
  std::string out_;
  uint32_t remembered_ = 0;
  std::vector<uint32_t> tensor_memo_;
  std::unordered_map<std::string, uint32_t> text_memo_;
  std::vector<Named> globals_;
};

}  // namespace

std::string write_pickle(const Value& tree, const PthStorages& storages, RootDict root) {
  return Pickler(storages).pickle(tree, root);
}

}  // namespace checkpoint::format
