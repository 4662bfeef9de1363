#include "format/dcp/writer.h"
#include "format/safetensors/safetensors.h"
#include "format/save_tree.h"
#include "format/sharded/write_sharded.h"
#include "format/torch/archive_writer.h"
#include "format/torch/pth_writer.h"
#include "format/tree/dense.h"
#include "format/tree/tree_json.h"
#include "store/io/atomic_file.h"

#include <checkpoint/error.h>
#include <checkpoint/file.h>

#include <algorithm>
#include <map>
#include <string>
#include <variant>

namespace checkpoint {
namespace {

// A file extension and its format.
struct Extension {
  const char* text;
  Format format;
};

constexpr Extension kExtensions[] = {
    {".pt", Format::kArchive}, {".pth", Format::kPth}, {".safetensors", Format::kSafetensors}};

const Dict& need_dict(const Value& value, const char* what, const std::string& path) {
  if (value.is_dict()) return value.dict();
  throw Error(ErrorCode::kUnsupported,
              std::string(what) + " holds a dict, and this is a " + kind_text(value), path, 0,
              "Put it into a Dict under a name.");
}

// Whether the tree is only tensors by name.
bool is_flat(const Value& tree) {
  return tree.is_dict() && std::all_of(tree.dict().begin(), tree.dict().end(), [](const auto& e) {
           return std::holds_alternative<std::string>(e.first) && e.second.is_tensor();
         });
}

Dict dict_of(const format::NamedTensors& tensors) {
  Dict dict;
  for (const auto& [name, tensor] : tensors) dict.insert(name, tensor);
  return dict;
}

// Python's libraries check this.
std::map<std::string, std::string> with_format(std::map<std::string, std::string> metadata) {
  metadata.emplace("format", "pt");
  return metadata;
}

void save_safetensors_shards(store::FileSystem& fs, const Value& value, const std::string& path,
                             const SaveOptions& options) {
  format::Densifier densifier;
  const Value dense = densifier.densify(value, "");
  need_dict(dense, "a safetensors file", path);
  // The tree of what is more than tensors by name goes where the metadata goes. It has all names.
  const bool flat = is_flat(dense);
  const format::ShardPlan plan =
      format::plan_shards(format::named_tensors(dense), *options.max_shard_size(),
                          flat ? format::Ties::kDropped : format::Ties::kWritten);
  const bool is_single = plan.shards.size() == 1;
  auto metadata = options.metadata();
  if (!flat && !is_single) metadata[format::kTreeKey] = format::tree_to_json(dense);
  if (!is_single && metadata.count("format") > 0 && metadata["format"] == "pt") {
    metadata.erase("format");  // Each shard says it.
  }
  format::write_sharded(fs, path, plan, metadata,
                        [&](const format::NamedTensors& tensors, const auto& own, auto& sink) {
                          format::write_safetensors(is_single && !flat ? dense : dict_of(tensors),
                                                    with_format(own), sink);
                        });
}

void save_pth_shards(store::FileSystem& fs, const Value& value, format::RootDict root,
                     const std::string& path, const SaveOptions& options) {
  if (!is_flat(value)) {
    throw Error(ErrorCode::kUnsupported,
                "a model in several .bin files can only be a flat dict of tensors", path, 0,
                "Save it as .safetensors, or without max_shard_size.");
  }
  const format::NamedTensors tensors = format::named_tensors(value);
  for (const auto& [name, tensor] : tensors) format::check_dense(tensor, format::Path(name));
  const format::ShardPlan plan =
      format::plan_shards(tensors, *options.max_shard_size(), format::Ties::kTogether);
  format::write_sharded(fs, path, plan, {},
                        [&](const format::NamedTensors& shard, const auto&, auto& sink) {
                          format::write_pth(dict_of(shard), sink, root);
                        });
}

void save_shards(store::FileSystem& fs, const Value& value, format::RootDict root,
                 const std::string& path, const SaveOptions& options) {
  switch (format::format_for(path, options)) {
    case Format::kSafetensors:
      return save_safetensors_shards(fs, value, path, options);
    case Format::kPth:
      return save_pth_shards(fs, value, root, path, options);
    case Format::kArchive:
    case Format::kDcp:
      break;
  }
  throw Error(ErrorCode::kUnsupported,
              "max_shard_size is for .safetensors files, and for .bin files in Python's format",
              path, 0, "Save it as .safetensors, or without max_shard_size.");
}

}  // namespace

Format format::format_for(const std::string& path, const SaveOptions& options) {
  if (options.format()) return *options.format();
  for (const Extension& extension : kExtensions) {
    const std::string end = extension.text;
    if (path.size() >= end.size() && path.compare(path.size() - end.size(), end.size(), end) == 0) {
      return extension.format;
    }
  }
  throw Error(ErrorCode::kUnsupported, "unknown file extension", path, 0,
              "Use .pt, .pth or .safetensors, or set SaveOptions().format().");
}

void format::save_tree(const Value& value, RootDict root, const std::string& path,
                       const SaveOptions& options) {
  const Format format = format_for(path, options);
  if (!options.metadata().empty() && format != Format::kSafetensors) {
    throw Error(ErrorCode::kUnsupported, "only a safetensors file has metadata", path);
  }
  store::FileSystem& fs = store::posix_file_system();
  if (options.max_shard_size()) return save_shards(fs, value, root, path, options);
  if (format == Format::kDcp) {
    dcp::write_directory(fs, need_dict(value, "a distributed checkpoint", path), path);
    return;
  }
  if (format == Format::kPth) {
    store::write_atomically(fs, path, [&](store::ByteSink& sink) { write_pth(value, sink, root); });
    return;
  }
  Densifier densifier;
  const Value dense = densifier.densify(value, "");
  if (format == Format::kSafetensors) {
    need_dict(dense, "a safetensors file", path);
    const auto metadata = with_format(options.metadata());
    store::write_atomically(
        fs, path, [&](store::ByteSink& sink) { write_safetensors(dense, metadata, sink); });
    return;
  }
  const Dict& dict = need_dict(dense, "a LibTorch archive", path);
  store::write_atomically(fs, path, [&](store::ByteSink& sink) { write_archive(dict, sink); });
}

void save(const Value& value, const std::string& path, const SaveOptions& options) {
  format::save_tree(value, format::RootDict::kPlain, path, options);
}

}  // namespace checkpoint
