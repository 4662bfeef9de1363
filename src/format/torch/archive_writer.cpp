// A tree as a LibTorch archive:
//
//   1. The tree becomes an OutputArchive.
//   2. It is encoded into records, as LibTorch does, without the bytes of the tensors
//      (archive_records.h).
//   3. Meanwhile the tensors are written, from their own memory (archive_tensors.h). Their places
//      and sums make the tensor table.
//   4. The other records follow. All have the names and the order that LibTorch gives them.
//
// Two records of LibTorch's are left out, since its readers do without: where the source came from
// (`.debug_pkl`), and a number made of all CRC-32s (`serialization_id`).

#include "format/torch/archive_writer.h"

#include "base/parallel.h"
#include "format/torch/archive_modules.h"
#include "format/torch/archive_plan.h"
#include "format/torch/archive_records.h"
#include "format/torch/archive_tensors.h"
#include "format/torch/describe_tensors.h"
#include "format/torch/ivalue.h"
#include "format/torch/memory_archive.h"
#include "format/tree/opaque.h"
#include "format/tree/path.h"
#include "format/tree/tagged.h"
#include "format/zip/zip_writer.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <string_view>
#include <utility>

namespace checkpoint::format {
namespace {

using c10::IValue;

bool is_keyword(const std::string& name) {
  // The keywords of TorchScript's lexer (torch/csrc/jit/frontend/lexer.h).
  static constexpr std::array<std::string_view, 28> kKeywords = {
      "def",  "if",    "else",   "elif",   "while", "return",   "is",
      "True", "False", "None",   "and",    "or",    "not",      "global",
      "for",  "in",    "raise",  "assert", "break", "continue", "del",
      "pass", "class", "import", "with",   "as",    "Ellipsis", "NoneType"};
  return std::find(kKeywords.begin(), kKeywords.end(), name) != kKeywords.end();
}

bool is_quoted(const std::string& name) {
  return std::any_of(name.begin(), name.end(),
                     [](char c) { return c == '"' || c == '\\' || c == '\n' || c == '\0'; });
}

bool is_archive_name(const std::string& name) { return !is_keyword(name) && !is_quoted(name); }

[[noreturn]] void refuse_name(const std::string& name, const std::string& path) {
  throw Error(
      ErrorCode::kUnsupported,
      "the name '" + path + "' cannot be saved: its part '" + name +
          (is_keyword(name) ? "' is a TorchScript keyword"
                            : "' holds a quote, backslash or line end") +
          ", and LibTorch could not read the archive again",
      "", 0,
      "Give the module, parameter or item another name, or choose Format::kPth, which takes any.");
}

const std::string& string_key(const Key& key, const Path& path) {
  if (const std::string* name = std::get_if<std::string>(&key)) return *name;
  throw Error(ErrorCode::kUnsupported,
              "'" + Path(path, key).text() +
                  "': a LibTorch archive cannot hold a dict with integer keys here",
              "", 0, "Use string keys, or put the dict into a list.");
}

// The version of LibTorch's archives without code.
constexpr char kArchiveVersion[] = "3\n";
// A pickled empty tuple.
constexpr char kNoConstants[] = "\x80\x02).";

// Turns a tree into the modules of an archive.
class TreeWriter {
 public:
  explicit TreeWriter(ArchiveModules& modules) : modules_(modules) {}

  torch::jit::Module to_module(const Dict& dict, const Path& path,
                               const std::set<std::string>& any_keys = {}) {
    path.check_depth();
    ArchiveEntries entries;
    entries.reserve(dict.size());
    for (const auto& [key, value] : dict) {
      const std::string& name = string_key(key, path);
      const Path place(path, key);
      if (!is_archive_name(name)) refuse_name(name, place.text());
      if (value.is_dict() && any_keys.count(name) == 0) {
        entries.add(name, to_module(value.dict(), place));
      } else if (value.is_tensor()) {
        entries.add(name, value.to_tensor());
      } else {
        entries.add(name, to_ivalue(value, place));
      }
    }
    return modules_.make(std::move(entries));
  }

 private:
  IValue to_ivalue(const Value& value, const Path& place) {
    place.check_depth();
    switch (value.kind()) {
      case Value::Kind::kTensor:
        return value.to_tensor();
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

  ArchiveModules& modules_;
};

torch::jit::Module to_module(const Dict& tree, const std::set<std::string>& any_keys,
                             ArchiveModules& modules) {
  modules.begin_next();
  return TreeWriter(modules).to_module(tree, Path(), any_keys);
}

struct Encoded {
  torch::jit::ObjectPtr modules;  // The archive's root, which holds all others.
  ArchiveRecords records;
};

Encoded encode(const Dict& tree, const std::set<std::string>& any_keys, size_t tensors,
               ArchivePlan& plan) {
  try {
    torch::jit::Module module = to_module(tree, any_keys, plan.modules);
    if (plan.root && module.type() != plan.root) {
      // The names of classes must not depend on what was saved before.
      plan = ArchivePlan();
      module = to_module(tree, any_keys, plan.modules);
    }
    torch::jit::ObjectPtr modules = module._ivalue();
    return {std::move(modules), records_of(archive_of(std::move(module)), plan, tensors)};
  } catch (const c10::Error& error) {
    throw Error(ErrorCode::kUnsupported, std::string("LibTorch cannot write this archive: ") +
                                             error.what_without_backtrace());
  }
}

void add_other_records(ZipWriter& zip, const ArchiveRecords& records) {
  zip.add("data.pkl", records.pickle);
  for (const auto& [path, source] : *records.sources) zip.add(path, source);
  zip.add("constants.pkl", kNoConstants);
  zip.add("version", kArchiveVersion);
  zip.add("byteorder", "little");
}

}  // namespace

void check_archive_name(const std::string& name, const std::string& path) {
  if (!is_archive_name(name)) refuse_name(name, path);
}

bool can_be_archive(const Dict& tree, int depth) {
  if (depth > Path::kMaxDepth) return false;
  return std::all_of(tree.begin(), tree.end(), [depth](const auto& entry) {
    const std::string* const name = std::get_if<std::string>(&entry.first);
    if (name == nullptr || name->empty() || !is_archive_name(*name)) return false;
    return !entry.second.is_dict() || can_be_archive(entry.second.dict(), depth + 1);
  });
}

std::vector<store::TensorEntry> write_archive(const Dict& tree, store::ByteSink& sink,
                                              const std::set<std::string>& any_keys) {
  ArchivePlan plan;
  return write_archive(tree, sink, any_keys, plan);
}

std::vector<store::TensorEntry> write_archive(const Dict& tree, store::ByteSink& sink,
                                              const std::set<std::string>& any_keys,
                                              ArchivePlan& plan) {
  const size_t count = count_tensors(tree);
  std::optional<ArchiveTensors> tensors;
  std::vector<store::TensorEntry> entries;
  entries.reserve(count);
  Encoded encoded;
  const store::DrainedAtEnd drained(sink);
  ZipWriter zip(sink, "archive");
  // With many small tensors both take long, so they run in parallel.
  std::atomic<bool> is_refused{false};
  base::side_by_side(
      [&] {
        tensors.emplace(tree).write(zip, is_refused);
        describe_tensors(tree, entries);
      },
      [&] {
        try {
          encoded = encode(tree, any_keys, count, plan);
        } catch (...) {
          is_refused = true;
          plan = ArchivePlan();  // It may have classes that the next archive lacks.
          throw;
        }
      });
  if (!tensors->are_those_of(encoded.records.tensors)) {
    throw Error(ErrorCode::kUnsupported, "LibTorch would write these tensors in another order");
  }
  // To free many modules takes as long as to end the file.
  base::side_by_side([&] { encoded.modules.reset(); },
                     [&] {
                       add_other_records(zip, encoded.records);
                       zip.finish();
                       tensors->place(entries);
                     });
  return entries;
}

}  // namespace checkpoint::format
