// LibTorch's pickler (torch/csrc/jit/serialization/pickler.cpp) took 43 % of writing an archive of
// many small tensors: it asks each object for its methods, and makes a text of each name.

#include "format/torch/archive_pickler.h"

#include "format/pickle/pickle_bytes.h"

#include <checkpoint/error.h>

#include <cstdint>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace checkpoint::format {
namespace {

using c10::IValue;

// Pickles one module; used once.
class ModulePickler {
 public:
  explicit ModulePickler(size_t tensors) : out_(tensors * kBytesOfTensor) {
    tensors_.reserve(tensors);
    values_.reserve(tensors);
  }

  PickledModule pickle(const torch::jit::Module& module) {
    put(module._ivalue());
    return {out_.finish(), std::move(tensors_)};
  }

 private:
  // With its share of the names, as measured.
  static constexpr size_t kBytesOfTensor = 96;

  using Memo = std::pmr::unordered_map<const void*, uint32_t>;
  struct KnownClass {
    uint32_t number;
    std::vector<uint32_t> names;  // Of its attributes, as far as they were written.
  };

  // Recalls what is in the memo.
  bool recall(const Memo& memo, const void* address) {
    const auto known = memo.find(address);
    if (known == memo.end()) return false;
    out_.recall(known->second);
    return true;
  }

  // Remembers what may come again: what somebody else holds, too.
  void put(const IValue& value) {
    const bool may_come_again = value.isPtrType() && !value.isString() && value.use_count() > 1;
    if (!may_come_again) {
      put_new(value);
      return;
    }
    const auto [known, is_new] = values_.try_emplace(value.internalToPointer());
    uint32_t& number = known->second;  // It stays where it is.
    if (!is_new) return out_.recall(number);
    put_new(value);
    number = out_.remember();
  }

  void put_new(const IValue& value) {
    if (value.isTensor()) {
      put_tensor(value.toTensor());
    } else if (value.isObject()) {
      put_object(value.toObjectRef());
    } else if (value.isInt()) {
      out_.put_int(value.toInt());
    } else if (value.isDouble()) {
      out_.put_double(value.toDouble());
    } else if (value.isBool()) {
      out_.put_bool(value.toBool());
    } else if (value.isString()) {
      put_text(value.toStringRef());
    } else if (value.isNone()) {
      out_.ops("N");
    } else if (value.isComplexDouble()) {
      put_complex(value.toComplexDouble());
    } else if (value.isList()) {
      put_list(value);
    } else if (value.isGenericDict()) {
      put_dict(value);
    } else if (value.isTuple()) {
      put_tuple(value.toTupleRef().elements());
    } else {
      throw Error(ErrorCode::kUnsupported,
                  "a LibTorch archive cannot hold a value of kind " + value.tagKind() + " here");
    }
  }

  void put_object(const c10::ivalue::Object& object) {
    const c10::ClassType& type = *object.type();
    // An object in it may be of another class, which is then added.
    const auto known = classes_.find(&type);
    const bool is_new = known == classes_.end();
    KnownClass& of = is_new ? put_class(type) : known->second;
    if (!is_new) out_.recall(of.number);
    out_.ops(")\x81}(");
    for (size_t i = 0; i < type.numAttributes(); ++i) {
      if (i < of.names.size()) {
        out_.recall(of.names[i]);
      } else {
        of.names.push_back(put_text(type.getAttributeName(i)));
      }
      put(object.getSlot(i));
    }
    out_.ops("ub");
  }

  KnownClass& put_class(const c10::ClassType& type) {
    if (!type.methods().empty()) {
      throw Error(ErrorCode::kUnsupported, "the archive has TorchScript code");
    }
    // An archive and those nested in it share one compilation unit, where each type has another
    // name.
    const c10::QualifiedName name = type.name().value();
    const uint32_t number = out_.remember_global(name.prefix(), name.name());
    return classes_.emplace(&type, KnownClass{number, {}}).first->second;
  }

  void put_tensor(const at::Tensor& tensor) {
    out_.put_global("torch._utils", "_rebuild_tensor_v2");
    out_.ops("(");
    put_storage(tensor);
    out_.put_int(tensor.storage_offset());
    out_.put_integers(tensor.sizes());
    out_.put_integers(tensor.strides());
    out_.put_bool(tensor.requires_grad());
    out_.put_global("collections", "OrderedDict");  // The hooks.
    out_.ops(")RtR");
  }

  void put_storage(const at::Tensor& tensor) {
    const void* const address = tensor.storage().unsafeGetStorageImpl();
    // A storage of one tensor comes once: the tensor itself is in the memo.
    const bool may_come_again = tensor.storage().use_count() > 1;
    if (may_come_again && recall(storages_, address)) return;
    out_.ops("(");
    put_word(storage_word_);
    out_.put_global("torch", std::string(c10::toString(tensor.scalar_type())) + "Storage");
    put_text(std::to_string(tensors_.size()));
    put_word(cpu_word_);
    out_.put_int(static_cast<int64_t>(tensor.storage().nbytes() / tensor.element_size()));
    out_.ops("tQ");
    const uint32_t number = out_.remember();
    if (may_come_again) storages_.emplace(address, number);
    tensors_.push_back(tensor);
  }

  void put_complex(const c10::complex<double>& value) {
    out_.put_global("builtins", "complex");
    out_.put_double(value.real());
    out_.put_double(value.imag());
    out_.ops("\x86R");
  }

  // LibTorch has functions for lists of four types, and makes a text of the type of all others.
  void put_list(const IValue& list) {
    const char* const function = list.isIntList()      ? "build_intlist"
                                 : list.isTensorList() ? "build_tensorlist"
                                 : list.isDoubleList() ? "build_doublelist"
                                 : list.isBoolList()   ? "build_boollist"
                                                       : nullptr;
    out_.put_global("torch.jit._pickle", function != nullptr ? function : "restore_type_tag");
    out_.ops(function != nullptr ? "(](" : "](");
    for (const IValue& element : list.toListRef()) put(element);
    out_.ops("e");
    if (function != nullptr) {
      out_.ops("tR");
    } else {
      put_type_tag(list);
    }
  }

  void put_dict(const IValue& dict) {
    out_.put_global("torch.jit._pickle", "restore_type_tag");
    out_.ops("}(");
    for (const auto& entry : dict.toGenericDict()) {
      put(entry.key());
      put(entry.value());
    }
    out_.ops("u");
    put_type_tag(dict);
  }

  void put_type_tag(const IValue& container) {
    put_text(container.type()->annotation_str());
    out_.ops("\x86R");
  }

  template <typename Elements>
  void put_tuple(const Elements& elements) {
    if (elements.size() > 3) out_.ops("(");
    for (const IValue& element : elements) put(element);
    constexpr std::string_view kTuples[] = {")", "\x85", "\x86", "\x87"};
    out_.ops(elements.size() > 3 ? "t" : kTuples[elements.size()]);
  }

  uint32_t put_text(std::string_view text) {
    const std::optional<uint32_t> known = out_.recall_text(text);
    return known ? *known : out_.remember_text(text);
  }

  // A text that comes with each storage.
  struct Word {
    std::string_view text;
    std::optional<uint32_t> number = {};
  };
  void put_word(Word& word) {
    if (word.number) {
      out_.recall(*word.number);
    } else {
      word.number = put_text(word.text);
    }
  }

  PickleBytes out_;
  std::vector<at::Tensor> tensors_;
  std::pmr::monotonic_buffer_resource arena_;  // Entries come one by one, and go together.
  Memo values_{&arena_};
  Memo storages_{&arena_};
  std::unordered_map<const c10::ClassType*, KnownClass> classes_;
  Word storage_word_{"storage"};
  Word cpu_word_{"cpu"};
};

}  // namespace

PickledModule pickle_module(const torch::jit::Module& module, size_t tensors) {
  return ModulePickler(tensors).pickle(module);
}

}  // namespace checkpoint::format
