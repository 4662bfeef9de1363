#include "manager/rank_report.h"

#include "base/json.h"
#include "base/shape_text.h"
#include "store/io/byte_sink.h"
#include "store/records/manifest.h"
#include "store/records/tensor_parts.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <utility>

namespace checkpoint::manager {
namespace {

using state::Piece;
using store::TensorEntry;
using store::TensorTable;

class StringSink final : public store::ByteSink {
 public:
  void write(const void* data, size_t count) override {
    text_.append(static_cast<const char*>(data), count);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

// The names of the own items, or of the shared ones.
store::ItemNames names_of(const state::Capture& captured, bool per_rank) {
  store::ItemNames names;
  const auto belongs = [&](const std::string& item) {
    return (captured.per_rank.count(item) != 0) == per_rank;
  };
  for (const auto& [item, parameters] : captured.optimizer_parameters) {
    if (belongs(item)) names.optimizer_parameters.emplace(item, parameters);
  }
  for (const auto& [item, modules] : captured.eval_modules) {
    if (belongs(item)) names.eval_modules.emplace(item, modules);
  }
  return names;
}

bool is_same_item(const ItemEntry& left, const ItemEntry& right) {
  return left.name == right.name && left.kind == right.kind && left.type == right.type &&
         left.group_sizes == right.group_sizes;
}

// Adds one rank's own item to the entry of those that are alike.
void add_item(std::vector<ItemEntry>& items, const ItemEntry& item, int64_t rank) {
  const auto like = std::find_if(items.begin(), items.end(), [&](const ItemEntry& one) {
    return !one.ranks.empty() && is_same_item(one, item);
  });
  if (like != items.end()) {
    like->ranks.push_back(rank);
    return;
  }
  items.push_back(item);
  items.back().ranks = {rank};
}

void put_place(TensorEntry& whole, TensorEntry written) {
  if (!written.parts.empty()) {
    whole.parts.push_back(std::move(written.parts.front()));
    whole.bytes += whole.parts.back().bytes;
    return;
  }
  whole.file = std::move(written.file);
  whole.offset = written.offset;
  whole.bytes = written.bytes;
  whole.xxh3_128 = written.xxh3_128;
}

// What the ranks share is divided without gaps, so this only fails for tensors that are divided by
// the user. `files` has the names of the ranks' files.
void require_whole(const TensorEntry& tensor, const std::vector<FileEntry>& files) {
  if (!tensor.file.empty()) return;
  const std::optional<store::PartsFault> fault = store::find_fault(tensor.parts, tensor.shape);
  if (!fault) return;
  const auto part_text = [&](size_t index) {
    const store::TensorPart& part = tensor.parts[index];
    const auto file = std::find_if(files.begin(), files.end(),
                                   [&](const FileEntry& entry) { return entry.name == part.file; });
    return store::region_text(part.at, part.shape) + " of rank " +
           std::to_string(file - files.begin());
  };
  std::string what = "the parts of the tensor '" + tensor.key + "', whose sizes are " +
                     base::shape_text(tensor.shape) + ", ";
  switch (fault->kind) {
    case store::PartsFault::Kind::kOutside:
      what += "reach outside of it: " + part_text(fault->one);
      break;
    case store::PartsFault::Kind::kOverlap:
      what += "overlap: " + part_text(fault->one) + ", and " + part_text(fault->other);
      break;
    case store::PartsFault::Kind::kGap:
      what += "do not cover it";
      if (!fault->at.empty()) what += ": no rank writes the element " + base::shape_text(fault->at);
      break;
    case store::PartsFault::Kind::kTangled:
      what += "are laid out so that checking them would take too long";
      break;
  }
  throw Error(
      ErrorCode::kIncompatible, what, "", 0,
      "Check the offsets given to State::shard. Of a part that several ranks hold, one must "
      "be replica 0, and no other.");
}

}  // namespace

RankReport report_of(const state::Share& share, const std::vector<TensorEntry>& written,
                     FileEntry file) {
  RankReport report;
  static_cast<store::ItemNames&>(report.table) = names_of(share.captured, /*per_rank=*/true);
  for (const ItemEntry& item : share.captured.items) {
    if (share.captured.per_rank.count(item.name) != 0) report.items.push_back(item);
  }
  for (size_t i = 0; i < share.pieces.size(); ++i) {
    const Piece& piece = share.pieces[i];
    if (piece.kind == Piece::Kind::kStub) continue;
    TensorEntry entry = written.at(i);
    entry.file = file.name;
    const auto device = share.captured.devices.find(entry.key);
    entry.device = device != share.captured.devices.end() ? device->second : "cpu";
    if (!piece.shape.empty()) {
      entry.parts.push_back(
          {entry.file, entry.offset, entry.bytes, entry.xxh3_128, piece.at, piece.shape});
    }
    report.shared.push_back(piece.kind == Piece::Kind::kPart ? std::make_optional(piece.shared)
                                                             : std::nullopt);
    report.table.tensors.push_back(std::move(entry));
  }
  report.file = std::move(file);
  return report;
}

std::string encode_report(const RankReport& report) {
  Manifest manifest;
  manifest.files = {report.file};
  manifest.items = report.items;
  StringSink table;
  store::write_tensor_table(report.table, table);
  nlohmann::ordered_json shared = nlohmann::ordered_json::array();
  for (const auto& index : report.shared) {
    shared.push_back(index ? static_cast<int64_t>(*index) : int64_t{-1});
  }
  return base::dump_json({{"manifest", store::encode_manifest(manifest)},
                          {"table", table.take()},
                          {"shared", std::move(shared)}},
                         -1);
}

RankReport decode_report(const std::string& text, int64_t rank) {
  const std::string source = "the report of rank " + std::to_string(rank);
  const nlohmann::json document = base::parse_json(text, source);
  const base::JsonFields fields(document, source);
  RankReport report;
  const Manifest manifest = store::decode_manifest(fields.string("manifest"), source);
  report.table = store::decode_tensor_table(fields.string("table"), source);
  for (const nlohmann::json& index : fields.array("shared")) {
    const auto number = index.get<int64_t>();
    report.shared.push_back(number >= 0 ? std::make_optional(static_cast<size_t>(number))
                                        : std::nullopt);
  }
  report.file = manifest.files.at(0);
  report.items = manifest.items;
  return report;
}

void merge_reports(const state::Share& share, std::vector<RankReport> reports, TensorTable& table,
                   Manifest& manifest) {
  table.tensors = share.shared;
  static_cast<store::ItemNames&>(table) = names_of(share.captured, /*per_rank=*/false);
  for (const ItemEntry& item : share.captured.items) {
    if (share.captured.per_rank.count(item.name) == 0) manifest.items.push_back(item);
  }
  std::vector<TensorEntry> own;
  for (size_t rank = 0; rank < reports.size(); ++rank) {
    RankReport& report = reports[rank];
    manifest.files.push_back(report.file);
    for (const ItemEntry& item : report.items) {
      add_item(manifest.items, item, static_cast<int64_t>(rank));
    }
    auto& names = static_cast<store::ItemNames&>(report.table);
    if (!names.optimizer_parameters.empty() || !names.eval_modules.empty()) {
      table.of_ranks.emplace(rank, std::move(names));
    }
    for (size_t i = 0; i < report.table.tensors.size(); ++i) {
      TensorEntry& tensor = report.table.tensors[i];
      if (report.shared.at(i)) {
        put_place(table.tensors.at(*report.shared[i]), std::move(tensor));
      } else {
        tensor.rank = static_cast<int64_t>(rank);
        own.push_back(std::move(tensor));
      }
    }
  }
  for (size_t i = 0; i < table.tensors.size(); ++i) {
    TensorEntry& tensor = table.tensors[i];
    const TensorEntry& first = table.tensors[share.first[i]];
    if (tensor.file.empty() && tensor.parts.empty() && share.first[i] != i) {
      tensor.file = first.file;
      tensor.offset = first.offset;
      tensor.bytes = first.bytes;
      tensor.xxh3_128 = first.xxh3_128;
      tensor.parts = first.parts;
    }
    // Rank 0's own tree has the layout of what lies there.
    if (tensor.file == manifest.files.front().name) tensor.strides.clear();
    require_whole(tensor, manifest.files);
  }
  for (TensorEntry& tensor : own) table.tensors.push_back(std::move(tensor));
}

}  // namespace checkpoint::manager
