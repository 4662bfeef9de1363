// Decodes `.metadata`:
//
//   1. Run the pickle on the machine of format/pickle, with the names that an index may use. That
//      makes objects with fields, and calls nothing.
//   2. Read the fields: the tensors with their chunks, the other values, the paths, the blobs.
//   3. Find the blob of each chunk and value (index_check.cpp checks what fits where).
//
// Python compares a MetadataIndex by its key and offset alone; so does this.

#include "format/dcp/index.h"

#include "base/in_quotes.h"
#include "base/text.h"
#include "format/dcp/index_check.h"
#include "format/dcp/index_fields.h"
#include "format/tree/path.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

namespace checkpoint::format::dcp {
namespace {

using namespace pickle;

constexpr std::array<std::string_view, 3> kMemoryFormats = {
    "TORCH_CONTIGUOUS_FORMAT", "TORCH_CHANNELS_LAST", "TORCH_PRESERVE_FORMAT"};

bool is_memory_format(const Name& name) {
  return is_class(name, "_MEM_FORMAT_ENCODING") || is_class(name, "MEM_FORMAT_ENCODING");
}

class Reader {
 public:
  Reader(const Graph& graph, Budget& budget, const std::string& file)
      : cells_(graph, budget, file), graph_(graph) {}

  Index read(const Cell& root) {
    check_getattr();
    const IndexCells::Fields fields = cells_.fields(root, "Metadata", "the index");
    fields.only({"state_dict_metadata", "planner_data", "storage_data", "storage_meta", "version",
                 "mcore_data"});
    check_version(fields.find("version"));
    check_storage_meta(fields.find("storage_meta"));
    read_entries(fields.at("state_dict_metadata"));
    read_paths(fields.at("planner_data"));
    read_storage(fields.at("storage_data"));
    return std::move(index_);
  }

 private:
  // Python 3.11.0 to 3.11.2 write the members of an enumeration as a call of getattr. It may have
  // no other use.
  void check_getattr() const {
    for (const OpaqueObject& object : graph_.opaques) {
      if (object.name.name == "getattr" && !is_named_memory_format(object)) {
        cells_.unsupported("the index calls getattr for something else than a memory format",
                           "Nothing was run. Do not load this file in Python.");
      }
    }
  }

  bool is_named_memory_format(const OpaqueObject& object) const {
    const auto* at = std::get_if<TupleAt>(&object.arguments);
    if (at == nullptr || object.has_state) return false;
    const Cells arguments = graph_.tuple(at->index);
    if (arguments.size() != 2) return false;
    const auto* type = std::get_if<ForeignName>(&arguments[0]);
    const auto* name = std::get_if<Text>(&arguments[1]);
    return type != nullptr && name != nullptr && is_memory_format(graph_.foreign[type->index]) &&
           std::find(kMemoryFormats.begin(), kMemoryFormats.end(), graph_.text(*name)) !=
               kMemoryFormats.end();
  }

  void check_version(const Cell* version) const {
    if (version == nullptr || std::holds_alternative<None>(*version)) return;
    if (const auto* number = std::get_if<double>(version)) {
      if (*number >= 1 && *number < 2) return;
      cells_.unsupported("the index is of version " + std::to_string(*number));
    }
    const std::string_view text = cells_.text(*version, "the version of the index");
    if (text == "1" || base::begins_with(text, "1.")) return;
    cells_.unsupported("the index is of version " + base::in_quotes(text) + ", not of 1",
                       "A newer TorchCheckpoint may read it.");
  }

  // Where the checkpoint was saved, and by which save. Only looked at: it may have been moved.
  void check_storage_meta(const Cell* meta) const {
    if (meta == nullptr || std::holds_alternative<None>(*meta)) return;
    cells_.fields(*meta, "StorageMeta", "the index's storage_meta")
        .only({"checkpoint_id", "save_id", "load_id", "modules"});
  }

  void read_entries(const Cell& cell) {
    const std::vector<Cell>& cells = cells_.dict(cell, "state_dict_metadata");
    for (size_t i = 0; i + 1 < cells.size(); i += 2) {
      cells_.budget().charge(sizeof(Entry));
      Entry entry;
      entry.key = cells_.string(cells[i], "a key of the index");
      if (!by_key_.emplace(cells_.text(cells[i], "a key"), index_.entries.size()).second) {
        cells_.corrupt("the index has the key " + base::in_quotes(entry.key) + " twice");
      }
      read_entry(cells[i + 1], entry);
      index_.entries.push_back(std::move(entry));
    }
  }

  void read_entry(const Cell& cell, Entry& entry) const {
    const std::string name = base::in_quotes(entry.key);
    const auto* at = std::get_if<OpaqueAt>(&cell);
    if (at != nullptr && is_class(graph_.opaques[at->index].name, "BytesStorageMetadata")) {
      cells_.fields(cell, "BytesStorageMetadata", name, true).only({});
      return;
    }
    const IndexCells::Fields fields = cells_.fields(cell, "TensorStorageMetadata", name);
    fields.only({"properties", "size", "chunks"});
    entry.is_tensor = true;
    entry.dtype = read_properties(fields.at("properties"), name);
    entry.sizes = cells_.size(fields.at("size"), "the size of " + name);
    for (const Cell& chunk : cells_.list(fields.at("chunks"), "the chunks of " + name)) {
      entry.chunks.push_back(read_chunk(chunk, name));
    }
    check_tensor(entry, cells_);
  }

  Chunk read_chunk(const Cell& cell, const std::string& name) const {
    cells_.budget().charge(sizeof(Chunk));
    const std::string what = "a chunk of " + name;
    const IndexCells::Fields fields = cells_.fields(cell, "ChunkStorageMetadata", what);
    fields.only({"offsets", "sizes"});
    return {cells_.size(fields.at("offsets"), "the offset of " + what),
            cells_.size(fields.at("sizes"), "the size of " + what)};
  }

  // (dtype, layout, requires_grad, memory format, pin_memory). Only the dtype is of use: a blob's
  // tensor has the strides, and is detached.
  c10::ScalarType read_properties(const Cell& cell, const std::string& name) const {
    const std::string what = "the properties of " + name;
    const OpaqueObject& object = cells_.object(cell, "TensorProperties", what);
    if (!cells_.tuple(object.arguments, what).empty()) {
      cells_.corrupt(what + " are made with arguments");
    }
    const Cells state = cells_.tuple(object.state, what);
    if (state.size() != 5) cells_.corrupt(what + " are not five");
    check_layout(state[1], name);
    check_memory_format(state[3], what);
    for (const size_t i : {2, 4}) {
      if (!std::holds_alternative<bool>(state[i])) cells_.corrupt(what + " lack a truth value");
    }
    return read_dtype(state[0], name);
  }

  c10::ScalarType read_dtype(const Cell& cell, const std::string& name) const {
    if (const auto* dtype = std::get_if<Dtype>(&cell)) return dtype->dtype;
    const auto* foreign = std::get_if<ForeignName>(&cell);
    if (foreign == nullptr || graph_.foreign[foreign->index].module != "torch") {
      cells_.corrupt("the dtype of " + name + " is not one");
    }
    cells_.unsupported("the tensor " + name + " is of " +
                           base::in_quotes(graph_.foreign[foreign->index].text()) +
                           ", a dtype that this LibTorch does not have",
                       "Read it with a newer LibTorch, or convert the tensor before it is saved.");
  }

  void check_layout(const Cell& cell, const std::string& name) const {
    const auto* at = std::get_if<OpaqueAt>(&cell);
    if (at == nullptr || graph_.opaques[at->index].name.name != "_get_layout") {
      cells_.corrupt("the layout of " + name + " is not one");
    }
    const Cells arguments = cells_.tuple(graph_.opaques[at->index].arguments, "a layout");
    if (arguments.size() != 1) cells_.corrupt("the layout of " + name + " is not one");
    const std::string_view layout = cells_.text(arguments[0], "the layout of " + name);
    if (layout == "torch.strided") return;
    cells_.unsupported("the tensor " + name + " has the layout " + base::in_quotes(layout),
                       "In Python, make it dense before it is saved.");
  }

  void check_memory_format(const Cell& cell, const std::string& what) const {
    const auto* at = std::get_if<OpaqueAt>(&cell);
    if (at != nullptr) {
      const OpaqueObject& object = graph_.opaques[at->index];
      if (object.name.name == "getattr") return;  // Checked before.
      const Cells arguments = cells_.tuple(object.arguments, what);
      if (is_memory_format(object.name) && arguments.size() == 1) {
        const int64_t value = cells_.integer(arguments[0], what);
        if (value >= 0 && value < static_cast<int64_t>(kMemoryFormats.size())) return;
      }
    }
    cells_.corrupt(what + " have an unknown memory format");
  }

  void read_paths(const Cell& cell) {
    if (std::holds_alternative<None>(cell)) return;
    const std::vector<Cell>& cells = cells_.dict(cell, "planner_data");
    for (size_t i = 0; i + 1 < cells.size(); i += 2) {
      Entry& entry = entry_of(cells[i], "planner_data");
      const std::string what = "the path of " + base::in_quotes(entry.key);
      if (!entry.path.empty()) cells_.corrupt(what + " is there twice");
      const Cells steps = cells_.tuple(cells[i + 1], what);
      if (steps.empty()) cells_.corrupt(what + " is empty");
      if (steps.size() > static_cast<size_t>(Path::kMaxDepth)) {
        cells_.unsupported(what + " is longer than " + std::to_string(Path::kMaxDepth));
      }
      cells_.budget().charge(steps.size() * sizeof(Step));
      for (const Cell& step : steps) {
        if (const auto* number = std::get_if<int64_t>(&step)) {
          if (*number < 0) cells_.corrupt(what + " has a negative index");
          entry.path.emplace_back(*number);
        } else {
          entry.path.emplace_back(cells_.string(step, "a part of " + what));
        }
      }
      if (!std::holds_alternative<std::string>(entry.path.front())) {
        cells_.corrupt(what + " begins in a list");
      }
    }
  }

  Entry& entry_of(const Cell& key, const std::string& where) {
    const std::string_view text = cells_.text(key, "a key of " + where);
    const auto found = by_key_.find(text);
    if (found == by_key_.end()) {
      cells_.corrupt(where + " has the key " + base::in_quotes(text) +
                     ", which state_dict_metadata lacks");
    }
    return index_.entries[found->second];
  }

  void read_storage(const Cell& cell) {
    const std::vector<Cell>& cells = cells_.dict(cell, "storage_data");
    BlobFinder finder(index_, cells_);
    for (size_t i = 0; i + 1 < cells.size(); i += 2) {
      const IndexCells::Fields key =
          cells_.fields(cells[i], "MetadataIndex", "a key of storage_data");
      key.only({"fqn", "index", "offset"});
      Entry& entry = entry_of(key.at("fqn"), "storage_data");
      const std::string name = base::in_quotes(entry.key);
      // Only a hint, for speed.
      const Cell* hint = key.find("index");
      if (hint != nullptr && !std::holds_alternative<None>(*hint)) {
        cells_.integer(*hint, "the index of a blob of " + name);
      }
      const Cell* offset = key.find("offset");
      std::optional<std::vector<int64_t>> at;
      if (offset != nullptr && !std::holds_alternative<None>(*offset)) {
        at = cells_.size(*offset, "the offset of a blob of " + name);
      }
      finder.add(entry, at, read_blob(cells[i + 1], name));
    }
    finder.finish();
  }

  Blob read_blob(const Cell& cell, const std::string& name) {
    cells_.budget().charge(sizeof(Blob));
    const std::string what = "the blob of " + name;
    const IndexCells::Fields fields = cells_.fields(cell, "_StorageInfo", what);
    fields.only({"relative_path", "offset", "length", "transform_descriptors"});
    check_plain(fields.find("transform_descriptors"), what);
    const int64_t offset = cells_.integer(fields.at("offset"), "the offset of " + what);
    const int64_t length = cells_.integer(fields.at("length"), "the length of " + what);
    int64_t end = 0;
    if (offset < 0 || length <= 0 || __builtin_add_overflow(offset, length, &end)) {
      cells_.corrupt(what + " has an impossible place");
    }
    return {file_of(fields.at("relative_path"), what), static_cast<uint64_t>(offset),
            static_cast<uint64_t>(length)};
  }

  // A blob may be compressed, which is experimental in PyTorch.
  void check_plain(const Cell* transforms, const std::string& what) const {
    if (transforms == nullptr || std::holds_alternative<None>(*transforms)) return;
    const std::vector<Cell>& list = cells_.list(*transforms, what + "'s transforms");
    if (list.empty()) return;
    cells_.unsupported(what + " is packed by " +
                           base::in_quotes(cells_.text(list.front(), "a transform of " + what)) +
                           ", which this library does not read",
                       "In Python, save it again without extensions.");
  }

  size_t file_of(const Cell& cell, const std::string& what) {
    const std::string_view path = cells_.text(cell, "the file of " + what);
    const auto known = files_.find(path);
    if (known != files_.end()) return known->second;
    if (!stays_inside(path)) {
      cells_.corrupt(what + " is in " + base::in_quotes(path) +
                     ", which is not a path inside of the directory");
    }
    files_.emplace(path, index_.files.size());
    index_.files.push_back(cells_.string(cell, "the file of " + what));
    return index_.files.size() - 1;
  }

  const IndexCells cells_;
  const Graph& graph_;
  Index index_;
  std::unordered_map<std::string_view, size_t> by_key_;  // The entries.
  std::unordered_map<std::string_view, size_t> files_;
};

}  // namespace

Index read_index(std::string_view pickle, const std::string& file) {
  const TensorMaker make_nothing = [](const TensorLayout&) { return at::Tensor(); };
  Budget budget(pickle.size(), file);
  Machine machine(pickle, file, make_nothing, budget, allows);
  const Cell root = machine.run();
  if (machine.end() != pickle.size()) {
    throw Error(ErrorCode::kCorrupt, "bytes follow the end of the index", file);
  }
  return Reader(machine.graph(), budget, file).read(root);
}

}  // namespace checkpoint::format::dcp
