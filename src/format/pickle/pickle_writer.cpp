// A tree as a pickle in protocol 2, as Python's torch.save writes it. Tensors refer to their
// storages by number (pth_storages.h). Texts and tensors that come again are remembered in the
// memo, as Python does.

#include "format/pickle/pickle_writer.h"

#include "base/in_quotes.h"
#include "base/utf8.h"
#include "format/pickle/pickle_bytes.h"
#include "format/pickle/utf8.h"
#include "format/tree/dtype.h"
#include "format/tree/opaque.h"
#include "format/tree/path.h"

#include <checkpoint/error.h>

#include <limits>
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
      : storages_(storages),
        tensor_memo_(storages.placements().size(), kNotYet),
        out_(storages.in_tree_order().size() * kBytesOfTensor) {}

  std::string pickle(const Value& tree, RootDict root) {
    if (root == RootDict::kOrdered && tree.is_dict()) {
      put_dict(tree.dict(), Path(), true);
    } else {
      put(tree, Path());
    }
    return out_.finish();
  }

 private:
  // With its share of the names, as measured.
  static constexpr size_t kBytesOfTensor = 80;
  static constexpr uint32_t kNotYet = std::numeric_limits<uint32_t>::max();

  void put(const Value& value, const Path& path) {
    path.check_depth();
    switch (value.kind()) {
      case Value::Kind::kNone:
        out_.ops("N");
        break;
      case Value::Kind::kBool:
        out_.put_bool(value.to_bool());
        break;
      case Value::Kind::kInt:
        out_.put_int(value.to_int());
        break;
      case Value::Kind::kDouble:
        out_.put_double(value.to_double());
        break;
      case Value::Kind::kComplex:
        // In protocol 2 the module of built-in names has its Python 2 name.
        out_.put_global("__builtin__", "complex");
        out_.put_double(value.to_complex().real());
        out_.put_double(value.to_complex().imag());
        out_.ops("\x86R");
        break;
      case Value::Kind::kString:
        put_text(value.to_string(), path);
        break;
      case Value::Kind::kTensor:
        put_tensor(storages_.in_tree_order()[tensors_++], value.to_tensor().requires_grad());
        break;
      case Value::Kind::kList:
        out_.ops("]");
        if (value.list().empty()) break;
        out_.ops("(");
        put_all(value.list(), path);
        out_.ops("e");
        break;
      case Value::Kind::kTuple:
        out_.ops(value.tuple().empty() ? ")" : "(");
        if (value.tuple().empty()) break;
        put_all(value.tuple(), path);
        out_.ops("t");
        break;
      case Value::Kind::kDict:
        put_dict(value.dict(), path, false);
        break;
      case Value::Kind::kSize:
        out_.put_global("torch", "Size");
        out_.put_integers(value.to_size());
        out_.ops("\x85R");
        break;
      case Value::Kind::kDtype:
        out_.put_global("torch", dtype_name(value.to_dtype()));
        break;
      case Value::Kind::kDevice:
        put_device(value.to_device(), path);
        break;
      case Value::Kind::kBytes:
        put_bytes(value.to_bytes());
        break;
      case Value::Kind::kBigInt:
        out_.put_long(value.to_big_int().bytes);
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
      out_.put_global("collections", "OrderedDict");
      out_.ops(")R");
    } else {
      out_.ops("}");
    }
    if (dict.empty()) return;
    out_.ops("(");
    for (const auto& [key, entry] : dict) {
      const Path place(path, key);
      if (const auto* number = std::get_if<int64_t>(&key)) {
        out_.put_int(*number);
      } else {
        put_text(std::get<std::string>(key), place);
      }
      put(entry, place);
    }
    out_.ops("u");
  }

  // Writes a tensor like Python's own Tensor.__reduce_ex__.
  void put_tensor(size_t index, bool requires_grad) {
    uint32_t& remembered = tensor_memo_[index];
    if (remembered != kNotYet) {
      out_.recall(remembered);
      return;
    }
    const PthStorages::Placement& placement = storages_.placements()[index];
    const PthStorages::StorageBytes& record = storages_.storages()[placement.record];
    const c10::ScalarType dtype = placement.tensor.scalar_type();
    const bool untyped = record.mixed || !has_storage_class(dtype);
    out_.put_global("torch._utils", untyped ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
    out_.ops("((");
    put_text("storage", Path());
    if (untyped) {
      out_.put_global("torch.storage", "UntypedStorage");
    } else {
      out_.put_global("torch", std::string(c10::toString(dtype)) + "Storage");
    }
    out_.put_text(std::to_string(placement.record));
    put_text("cpu", Path());
    out_.put_int(static_cast<int64_t>(untyped ? record.bytes
                                              : record.bytes / placement.tensor.element_size()));
    out_.ops("tQ");
    out_.put_int(placement.offset);
    out_.put_integers(placement.tensor.sizes());
    out_.put_integers(placement.tensor.strides());
    out_.put_bool(requires_grad &&
                  (placement.tensor.is_floating_point() || placement.tensor.is_complex()));
    out_.put_global("collections", "OrderedDict");
    out_.ops(")R");
    if (untyped) out_.put_global("torch", dtype_name(dtype));
    out_.ops("tR");
    remembered = out_.remember();
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
    out_.put_global("torch", "device");
    const std::string name = device.str();
    put_text(name.substr(0, name.find(':')), path);
    if (device.has_index()) out_.put_int(device.index());
    out_.ops(device.has_index() ? "\x86R" : "\x85R");
  }

  // Protocol 2 cannot hold bytes: they become a text, in which each character is one byte with its
  // number.
  void put_bytes(const std::string& bytes) {
    out_.put_global("_codecs", "encode");
    std::string text;
    for (const char c : bytes) append_latin1(text, c);
    out_.put_text(text);
    out_.put_text("latin1");
    out_.ops("\x86R");
  }

  void put_text(const std::string& text, const Path& path) {
    const bool is_short = text.size() <= kMaxRemembered;
    if (is_short && out_.recall_text(text)) return;
    if (!base::is_valid_utf8(text)) {
      throw Error(ErrorCode::kUnsupported, "the text " + base::in_quotes(path.text()) +
                                               " is not valid UTF-8, and Python could not read it");
    }
    if (is_short) {
      out_.remember_text(text);
    } else {
      out_.put_text(text);
    }
  }

  const PthStorages& storages_;
  size_t tensors_ = 0;  // How many were met.
  std::vector<uint32_t> tensor_memo_;
  PickleBytes out_;
};

}  // namespace

std::string write_pickle(const Value& tree, const PthStorages& storages, RootDict root) {
  return Pickler(storages).pickle(tree, root);
}

}  // namespace checkpoint::format
