#include "format/dcp/writer.h"
#include "format/safetensors/safetensors.h"
#include "format/save_tree.h"
#include "format/torch/archive_writer.h"
#include "format/torch/pth_writer.h"
#include "format/tree/dense.h"
#include "store/io/atomic_file.h"

#include <checkpoint/error.h>
#include <checkpoint/file.h>

#include <string>

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
    auto metadata = options.metadata();
    metadata.emplace("format", "pt");  // Python's libraries check this.
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
