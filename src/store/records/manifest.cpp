// manifest.json as text, written and read.
//
// The last field, the seal, is the digest of all bytes before it. Reading checks the seal first, so
// a changed or truncated manifest is never parsed. Then it checks the format and its version, and
// only then the other fields: a newer format may have different ones.

#include "store/records/manifest.h"

#include "base/digest.h"
#include "base/in_quotes.h"
#include "base/json.h"
#include "store/io/file.h"
#include "store/records/keep_json.h"
#include "store/records/names.h"
#include "store/records/progress_json.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <set>
#include <string_view>

namespace checkpoint::store {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// A manifest names items and files, but not single tensors, so it is never larger.
constexpr uint64_t kMaxManifestBytes = uint64_t{16} << 20;
constexpr char kFormat[] = "torch-checkpoint";
constexpr char kSealStart[] = "  \"xxh3_128\": \"";
constexpr char kSealEnd[] = "\"\n}\n";
constexpr size_t kDigits = 32;
constexpr size_t kSealBytes = sizeof kSealStart - 1 + kDigits + sizeof kSealEnd - 1;

std::string seal_for(std::string_view body) {
  return kSealStart + base::xxh3_128(body.data(), body.size()) + kSealEnd;
}

FileEntry decode_file(const json& object, const std::string& path) {
  const base::JsonFields fields(object, path);
  FileEntry file{fields.string("name"), fields.size("bytes"), fields.string("xxh3_128")};
  if (!is_plain_name(file.name)) {
    throw Error(ErrorCode::kCorrupt, "the manifest names a file outside the checkpoint", path);
  }
  return file;
}

ItemEntry decode_item(const json& object, const std::string& path) {
  const base::JsonFields fields(object, path);
  ItemEntry item;
  item.name = fields.string("name");
  item.kind = fields.string("kind");
  if (fields.has("type")) item.type = fields.string("type");
  if (fields.has("group_sizes")) {
    for (const json& size : fields.array("group_sizes")) {
      item.group_sizes.push_back(base::json_count(size, "group_sizes", path));
    }
  }
  if (fields.has("ranks")) {
    for (const json& rank : fields.array("ranks")) {
      item.ranks.push_back(base::json_count(rank, "ranks", path));
    }
  }
  return item;
}

void check_seal(const std::string& text, const std::string& path) {
  // Views, because copying a large file takes long.
  const size_t body_bytes = text.size() - std::min(text.size(), kSealBytes);
  const std::string_view all = text;
  if (body_bytes == 0 || all.substr(body_bytes) != seal_for(all.substr(0, body_bytes))) {
    throw Error(ErrorCode::kCorrupt,
                "the manifest is damaged: its digest does not match its content", path);
  }
}

}  // namespace

std::string encode_manifest(const Manifest& manifest) {
  ordered_json files = ordered_json::array();
  for (const FileEntry& file : manifest.files) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"xxh3_128", file.xxh3_128}});
  }
  ordered_json items = ordered_json::array();
  for (const ItemEntry& item : manifest.items) {
    ordered_json entry = {{"name", item.name}, {"kind", item.kind}};
    if (!item.type.empty()) entry["type"] = item.type;
    if (!item.group_sizes.empty()) entry["group_sizes"] = item.group_sizes;
    if (!item.ranks.empty()) entry["ranks"] = item.ranks;
    items.push_back(std::move(entry));
  }
  ordered_json seconds = ordered_json::object();
  for (const auto& [step, value] : manifest.seconds) seconds[step] = base::json_number(value);
  ordered_json document = {
      {"format", kFormat},
      {"format_version", manifest.format_version},
      {"name", manifest.name},
      {"sequence", manifest.sequence},
      {"parent", manifest.parent},
      {"created", manifest.created},
      {"run_id", manifest.run_id},
      {"libtorch_version", manifest.libtorch_version},
      {"library_version", manifest.library_version},
      {"progress", progress_to_json(manifest.progress)},
      {"files", std::move(files)},
      {"items", std::move(items)},
  };
  if (manifest.world_size > 1) document["world_size"] = manifest.world_size;
  if (manifest.format_version >= kFormatVersionOfUnchanged) {
    document["bytes_written"] = manifest.bytes_written;
  }
  ordered_json keep = keep_to_json(manifest.keep);
  if (!keep.empty()) document["keep"] = std::move(keep);
  if (!seconds.empty()) document["seconds"] = std::move(seconds);
  std::string body = base::dump_json(document, 2);
  body.resize(body.size() - 2);  // Removes the closing "\n}": it comes after the seal.
  body += ",\n";
  return body + seal_for(body);
}

Manifest decode_manifest(const std::string& text, const std::string& path) {
  check_seal(text, path);
  const json document = base::parse_json(text, path);
  const base::JsonFields fields(document, path);
  if (fields.string("format") != kFormat) {
    throw Error(ErrorCode::kCorrupt, "this is not a manifest of TorchCheckpoint", path);
  }
  Manifest manifest;
  manifest.format_version = fields.integer("format_version");
  manifest.library_version = fields.string("library_version");
  if (manifest.format_version < 0) {
    throw Error(ErrorCode::kCorrupt, "the format version is negative", path);
  }
  if (manifest.format_version > kFormatVersion) {
    throw Error(ErrorCode::kIncompatible,
                "the checkpoint has format version " + std::to_string(manifest.format_version) +
                    ", but this library reads only up to " + std::to_string(kFormatVersion),
                path, 0,
                "Use TorchCheckpoint " + base::in_quotes(manifest.library_version) + " or later.");
  }
  manifest.name = fields.string("name");
  manifest.sequence = fields.integer("sequence");
  if (manifest.sequence < 0 || manifest.sequence > kMaxSequence) {
    throw Error(ErrorCode::kCorrupt, "the field 'sequence' is out of range", path);
  }
  manifest.parent = fields.string("parent");
  manifest.created = fields.string("created");
  manifest.run_id = fields.string("run_id");
  manifest.libtorch_version = fields.string("libtorch_version");
  manifest.progress = progress_from_json(fields.object("progress"), path);
  std::set<std::string> names;
  for (const json& file : fields.array("files")) {
    manifest.files.push_back(decode_file(file, path));
    if (!names.insert(manifest.files.back().name).second) {
      throw Error(ErrorCode::kCorrupt, "the manifest names a file twice", path);
    }
  }
  manifest.bytes_written =
      fields.has("bytes_written") ? fields.size("bytes_written") : manifest.total_bytes();
  for (const json& item : fields.array("items")) {
    manifest.items.push_back(decode_item(item, path));
  }
  if (fields.has("world_size")) {
    manifest.world_size = fields.integer("world_size");
    if (manifest.world_size < 1) {
      throw Error(ErrorCode::kCorrupt, "the field 'world_size' is out of range", path);
    }
  }
  if (fields.has("keep")) manifest.keep = keep_from_json(fields.object("keep"), path);
  if (fields.has("seconds")) {
    const json& steps = fields.object("seconds");
    const base::JsonFields seconds(steps, path);
    for (const auto& step : steps.items()) {
      manifest.seconds[step.key()] = seconds.number(step.key().c_str());
    }
  }
  return manifest;
}

Manifest read_manifest(FileSystem& fs, const std::string& checkpoint_path) {
  const std::string path = join(checkpoint_path, kManifestFile);
  return decode_manifest(read_whole(fs, path, kMaxManifestBytes), path);
}

}  // namespace checkpoint::store
