// A tree as a LibTorch archive. The tree becomes an OutputArchive, which LibTorch writes into our
// sink. LibTorch does not report where it writes a tensor, so the sink finds out: each tensor
// arrives in one call, with the tensor's own data pointer. That gives the tensor table: offset and
// digest.

#include "format/torch/archive_writer.h"

#include "base/digest.h"
#include "format/torch/ivalue.h"
#include "format/torch/writer_guard.h"
#include "format/tree/opaque.h"
#include "format/tree/path.h"
#include "format/tree/tagged.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>
#include <utility>

namespace checkpoint::format {
namespace {

using c10::IValue;
using torch::serialize::OutputArchive;

const std::string& string_key(const Key& key, const Path& path) {
  if (const std::string* name = std::get_if<std::string>(&key)) return *name;
  throw Error(ErrorCode::kUnsupported,
              "'" + Path(path, key).text() +
                  "': a LibTorch archive cannot hold a dict with integer keys here",
              "", 0, "Use string keys, or put the dict into a list.");
}

// A sink that finds out where each tensor is written.
class TableBuilder {
 public:
  explicit TableBuilder(store::ByteSink& sink) : sink_(sink), drained_(sink) {}

  void add(const std::string& key, const at::Tensor& tensor) {
    store::TensorEntry entry;
    entry.key = key;
    entry.dtype = dtype_name(tensor.scalar_type());
    entry.shape = tensor.sizes().vec();
    entry.bytes = static_cast<uint64_t>(tensor.numel()) * tensor.element_size();
    if (entry.bytes == 0) entry.xxh3_128 = base::xxh3_128(nullptr, 0);
    if (entry.bytes > 0) by_pointer_[tensor.data_ptr()].push_back(entries_.size());
    entries_.push_back(std::move(entry));
  }

  void write(const void* data, size_t count) {
    const auto found = by_pointer_.find(data);
    std::string* const digest = found != by_pointer_.end() ? note(found->second, count) : nullptr;
    if (digest != nullptr) {
      sink_.write_lasting(data, count, digest);
    } else {
      sink_.write(data, count);
    }
    written_ += count;
  }

  // Throws if a tensor was not seen on its way: its place cannot be found later.
  std::vector<store::TensorEntry> finish() {
    sink_.drain();
    for (const auto& [twin, first] : twins_) entries_[twin].xxh3_128 = entries_[first].xxh3_128;
    for (const store::TensorEntry& entry : entries_) {
      if (entry.xxh3_128.empty()) {
        throw Error(ErrorCode::kUnsupported,
                    "LibTorch did not write the tensor '" + entry.key + "' in one piece");
      }
    }
    return std::move(entries_);
  }

 private:
  // Returns where the digest belongs, or null if these bytes are not a whole tensor.
  std::string* note(const std::vector<size_t>& tensors, size_t count) {
    std::optional<size_t> first;
    for (const size_t tensor : tensors) {
      if (entries_[tensor].bytes != count) continue;
      entries_[tensor].offset = written_;
      if (first) twins_.emplace_back(tensor, *first);
      if (!first) first = tensor;
    }
    return first ? &entries_[*first].xxh3_128 : nullptr;
  }

  store::ByteSink& sink_;
  uint64_t written_ = 0;
  std::vector<store::TensorEntry> entries_;
  // Tied tensors share one pointer.
  std::unordered_map<const void*, std::vector<size_t>> by_pointer_;
  std::vector<std::pair<size_t, size_t>>
      twins_;  // They share one digest: the tensor without it, and the one with it.
  store::DrainedAtEnd drained_;
};

// Writes a tree into an OutputArchive, and adds each tensor to the table.
class TreeWriter {
 public:
  explicit TreeWriter(TableBuilder& table) : table_(table) {}

  void fill(OutputArchive& archive, const Dict& dict, const Path& path,
            const std::set<std::string>& any_keys = {}) {
    path.check_depth();
    for (const auto& [key, value] : dict) {
      const std::string& name = string_key(key, path);
      const Path place(path, key);
      check_archive_name(name, place.text());
      if (value.is_dict() && any_keys.count(name) == 0) {
        OutputArchive nested(archive.compilation_unit());
        fill(nested, value.dict(), place);
        archive.write(name, nested);
      } else if (value.is_tensor()) {
        const at::Tensor& tensor = record(value, place);
        archive.write(name, tensor, /*is_buffer=*/!tensor.requires_grad());
      } else {
        archive.write(name, to_ivalue(value, place));
      }
    }
  }

 private:
  const at::Tensor& record(const Value& value, const Path& place) {
    const at::Tensor& tensor = value.to_tensor();
    table_.add(place.text(), tensor);
    return tensor;
  }

  IValue to_ivalue(const Value& value, const Path& place) {
    place.check_depth();
    switch (value.kind()) {
      case Value::Kind::kTensor:
        return record(value, place);
      case Value::Kind::kList:
        return list_to_ivalue(value.list(), place);
      case Value::Kind::kTuple:
        return c10::ivalue::Tuple::create(elements(value.tuple(), place));
      case Value::Kind::kDict:
        return dict_to_ivalue(value.dict(), place);
      case Value::Kind::kSize:
      case Value::Kind::kDtype:
      case Value::Kind::kDevice:
      case Value::Kind::kBytes:
      case Value::Kind::kBigInt:
        return to_ivalue(to_tagged(value), place);
      case Value::Kind::kOpaque:
        refuse_to_save(value.opaque(), place.text());
      default:
        return scalar_ivalue(value);
    }
  }

  std::vector<IValue> elements(const std::vector<Value>& values, const Path& place) {
    std::vector<IValue> result;
    result.reserve(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      result.push_back(to_ivalue(values[i], Path(place, i)));
    }
    return result;
  }

  IValue list_to_ivalue(const Value::List& list, const Path& place) {
    // LibTorch's own readers require typed lists.
    c10::impl::GenericList result(natural_element_type(list));
    for (IValue& element : elements(list, place)) result.push_back(std::move(element));
    return result;
  }

  // A dict inside a list or a tuple becomes a TorchScript dict: an archive cannot be nested there.
  IValue dict_to_ivalue(const Dict& dict, const Path& place) {
    const bool integers =
        !dict.empty() && std::all_of(dict.begin(), dict.end(), [](const auto& entry) {
          return std::holds_alternative<int64_t>(entry.first);
        });
    c10::TypePtr key_type = integers ? c10::TypePtr(c10::IntType::get()) : c10::StringType::get();
    c10::impl::GenericDict result(std::move(key_type), c10::AnyType::get());
    for (const auto& [key, value] : dict) {
      IValue key_value = integers ? IValue(std::get<int64_t>(key)) : IValue(string_key(key, place));
      result.insert(std::move(key_value), to_ivalue(value, Path(place, key)));
    }
    return result;
  }

  TableBuilder& table_;
};

bool is_keyword(const std::string& name) {
  // The keywords of TorchScript's lexer (torch/csrc/jit/frontend/lexer.h).
  static constexpr std::array<const char*, 28> kKeywords = {
      "def",  "if",    "else",   "elif",   "while", "return",   "is",
      "True", "False", "None",   "and",    "or",    "not",      "global",
      "for",  "in",    "raise",  "assert", "break", "continue", "del",
      "pass", "class", "import", "with",   "as",    "Ellipsis", "NoneType"};
  return std::find(kKeywords.begin(), kKeywords.end(), name) != kKeywords.end();
}

bool is_quoted(const std::string& name) {
  return name.find_first_of(std::string("\"\\\n\0", 4)) != std::string::npos;
}

}  // namespace

void check_archive_name(const std::string& name, const std::string& path) {
  const bool keyword = is_keyword(name);
  if (!keyword && !is_quoted(name)) return;
  throw Error(
      ErrorCode::kUnsupported,
      "the name '" + path + "' cannot be saved: its part '" + name +
          (keyword ? "' is a TorchScript keyword" : "' holds a quote, backslash or line end") +
          ", and LibTorch could not read the archive again",
      "", 0,
      "Give the module, parameter or item another name, or choose Format::kPth, which takes any.");
}

bool can_be_archive(const Dict& tree, int depth) {
  if (depth > Path::kMaxDepth) return false;
  return std::all_of(tree.begin(), tree.end(), [depth](const auto& entry) {
    const std::string* const name = std::get_if<std::string>(&entry.first);
    if (name == nullptr || name->empty() || is_keyword(*name) || is_quoted(*name)) return false;
    return !entry.second.is_dict() || can_be_archive(entry.second.dict(), depth + 1);
  });
}

std::vector<store::TensorEntry> write_archive(const Dict& tree, store::ByteSink& sink,
                                              const std::set<std::string>& any_keys) {
  TableBuilder table(sink);
  WriterGuard guard([&](const void* data, size_t count) { table.write(data, count); });
  guard.run("this archive", [&] {
    OutputArchive archive(std::make_shared<torch::jit::CompilationUnit>());
    TreeWriter(table).fill(archive, tree, Path(), any_keys);
    archive.save_to(guard.callback());
  });
  return table.finish();
}

}  // namespace checkpoint::format
