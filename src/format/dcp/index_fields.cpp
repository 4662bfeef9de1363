#include "format/dcp/index_fields.h"

#include "base/in_quotes.h"
#include "base/text.h"

#include <algorithm>
#include <array>

namespace checkpoint::format::dcp {

using namespace pickle;

namespace {

constexpr std::string_view kMetadata = "torch.distributed.checkpoint.metadata";
constexpr std::string_view kFilesystem = "torch.distributed.checkpoint.filesystem";
constexpr std::string_view kShardMetadata = "torch.distributed._shard.sharded_tensor.metadata";
// The modules of 1.13.
constexpr std::string_view kOldMetadata = "torch.distributed._shard.checkpoint.metadata";
constexpr std::string_view kOldFilesystem = "torch.distributed._shard.checkpoint.filesystem";

struct Allowed {
  std::string_view module;
  std::string_view name;
};

constexpr Allowed kClasses[] = {
    {kMetadata, "Metadata"},
    {kMetadata, "TensorStorageMetadata"},
    {kMetadata, "BytesStorageMetadata"},
    {kMetadata, "ChunkStorageMetadata"},
    {kMetadata, "MetadataIndex"},
    {kMetadata, "TensorProperties"},
    {kMetadata, "_MEM_FORMAT_ENCODING"},
    {kMetadata, "StorageMeta"},
    {kOldMetadata, "Metadata"},
    {kOldMetadata, "TensorStorageMetadata"},
    {kOldMetadata, "BytesStorageMetadata"},
    {kOldMetadata, "ChunkStorageMetadata"},
    {kOldMetadata, "MetadataIndex"},
    {kShardMetadata, "TensorProperties"},
    {kShardMetadata, "MEM_FORMAT_ENCODING"},
    {kFilesystem, "_StorageInfo"},
    {kOldFilesystem, "_StorageInfo"},
};

// What is not one of PyTorch's own classes.
constexpr Allowed kOthers[] = {
    {"torch", "Size"},
    {"torch.serialization", "_get_layout"},
    {"builtins", "getattr"},  // Only for one purpose: see index_reader.cpp.
    {"__builtin__", "getattr"},
    {"pathlib", "PosixPath"},
    {"pathlib", "WindowsPath"},
    {"pathlib", "PurePosixPath"},
    {"pathlib", "PureWindowsPath"},
    {"pathlib._local", "PosixPath"},
    {"pathlib._local", "WindowsPath"},
    {"pathlib._local", "PurePosixPath"},
    {"pathlib._local", "PureWindowsPath"},
};

template <typename List>
bool has(const List& list, std::string_view module, std::string_view name) {
  return std::any_of(std::begin(list), std::end(list), [&](const Allowed& allowed) {
    return allowed.module == module && allowed.name == name;
  });
}

// A dtype of any version; whether this LibTorch has it is found out later.
bool may_be_dtype(std::string_view name) {
  constexpr std::array<std::string_view, 9> kBegins = {"float", "bfloat", "uint", "int", "complex",
                                                       "bool",  "quint",  "qint", "bits"};
  return std::any_of(kBegins.begin(), kBegins.end(),
                     [&](std::string_view begin) { return base::begins_with(name, begin); });
}

}  // namespace

bool allows(std::string_view module, std::string_view name) {
  return has(kClasses, module, name) || has(kOthers, module, name) ||
         (module == "torch" && may_be_dtype(name));
}

bool is_class(const Name& name, std::string_view short_name) {
  return name.name == short_name && has(kClasses, name.module, name.name);
}

const Cell* IndexCells::Fields::find(std::string_view name) const {
  const auto found = std::find_if(fields_.begin(), fields_.end(),
                                  [&](const auto& field) { return field.first == name; });
  return found == fields_.end() ? nullptr : &found->second;
}

const Cell& IndexCells::Fields::at(std::string_view name) const {
  if (const Cell* found = find(name)) return *found;
  cells_.corrupt(owner_ + " lacks the field '" + std::string(name) + "'");
}

void IndexCells::Fields::only(std::initializer_list<std::string_view> known) const {
  for (const auto& [name, value] : fields_) {
    if (std::holds_alternative<None>(value)) continue;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    cells_.unsupported(
        owner_ + " has the field " + base::in_quotes(name) + ", which this library does not know",
        "A newer TorchCheckpoint may read it.");
  }
}

const OpaqueObject& IndexCells::object(const Cell& cell, std::string_view short_name,
                                       const std::string& what) const {
  const auto* at = std::get_if<OpaqueAt>(&cell);
  if (at == nullptr || !is_class(graph_.opaques[at->index].name, short_name)) {
    corrupt(what + " is not of the class " + std::string(short_name));
  }
  const OpaqueObject& object = graph_.opaques[at->index];
  for (const Cell* part : {&object.keywords, &object.list, &object.dict}) {
    if (!std::holds_alternative<None>(*part)) corrupt(what + " is more than its fields");
  }
  return object;
}

IndexCells::Fields IndexCells::fields(const Cell& cell, std::string_view short_name,
                                      const std::string& what, bool may_be_empty) const {
  const OpaqueObject& made = object(cell, short_name, what);
  if (!tuple(made.arguments, what).empty()) corrupt(what + " is made with arguments");
  Fields fields(*this, what);
  if (!made.has_state) {
    if (!may_be_empty) corrupt(what + " has no fields");
    return fields;
  }
  const std::vector<Cell>& cells = dict(made.state, what);
  constexpr size_t kMostFields = 64;
  if (cells.size() > 2 * kMostFields) corrupt(what + " has too many fields");
  for (size_t i = 0; i + 1 < cells.size(); i += 2) {
    const std::string_view name = text(cells[i], what);
    if (fields.find(name) != nullptr) corrupt(what + " has a field twice");
    fields.fields_.emplace_back(name, cells[i + 1]);
  }
  return fields;
}

const std::vector<Cell>& IndexCells::dict(const Cell& cell, const std::string& what) const {
  const auto* at = std::get_if<DictAt>(&cell);
  if (at == nullptr) corrupt(what + " is not a dict");
  return graph_.nodes[at->index];
}

const std::vector<Cell>& IndexCells::list(const Cell& cell, const std::string& what) const {
  const auto* at = std::get_if<ListAt>(&cell);
  if (at == nullptr) corrupt(what + " is not a list");
  return graph_.nodes[at->index];
}

Cells IndexCells::tuple(const Cell& cell, const std::string& what) const {
  const auto* at = std::get_if<TupleAt>(&cell);
  if (at == nullptr) corrupt(what + " is not a tuple");
  return graph_.tuple(at->index);
}

std::string_view IndexCells::text(const Cell& cell, const std::string& what) const {
  const auto* text = std::get_if<Text>(&cell);
  if (text == nullptr) corrupt(what + " is not a text");
  return graph_.text(*text);
}

std::string IndexCells::string(const Cell& cell, const std::string& what) const {
  const std::string_view view = text(cell, what);
  budget_.charge(sizeof(std::string) + view.size());
  return std::string(view);
}

int64_t IndexCells::integer(const Cell& cell, const std::string& what) const {
  const auto* number = std::get_if<int64_t>(&cell);
  if (number == nullptr) corrupt(what + " is not an integer of 64 bits");
  return *number;
}

std::vector<int64_t> IndexCells::size(const Cell& cell, const std::string& what) const {
  const auto* at = std::get_if<SizeAt>(&cell);
  if (at == nullptr) corrupt(what + " is not a torch.Size");
  const Cells cells = graph_.tuple(at->index);
  budget_.charge(sizeof(std::vector<int64_t>) + cells.size() * sizeof(int64_t));
  std::vector<int64_t> sizes;
  sizes.reserve(cells.size());
  for (const Cell& number : cells) {
    sizes.push_back(integer(number, what));
    if (sizes.back() < 0) corrupt(what + " is negative");
  }
  return sizes;
}

void IndexCells::corrupt(const std::string& what) const {
  throw Error(ErrorCode::kCorrupt, what, file_);
}

void IndexCells::unsupported(const std::string& what, const std::string& hint) const {
  throw Error(ErrorCode::kUnsupported, what, file_, 0, hint);
}

}  // namespace checkpoint::format::dcp
