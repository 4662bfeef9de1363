// How the ranks write one checkpoint. A process alone is rank 0 of one, and talks to nobody:
//
//   1. rank 0 makes the staging directory, and tells its name and the layout of its tensors
//   2. every rank compares the layout with its own, and writes its share into a file of its own
//   3. every rank tells rank 0 what it has written
//   4. rank 0 checks that it sees each file, and writes the table of tensors and the manifest
//   5. rank 0 commits (transaction.cpp), and says so
//
// A rank that fails tells the others, and all throw the error of the first one. Before 5, rank 0
// then removes the staging directory.
//
// With reuse_unchanged, a process alone leaves out what the last checkpoint has: reuse.cpp. Its
// content file has stubs in these places, as that of rank 0 has for what other ranks write.

#include "manager/write_checkpoint.h"

#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/meter.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "manager/encode.h"
#include "manager/rank_report.h"
#include "manager/reuse.h"
#include "store/directory/transaction.h"
#include "store/io/file.h"
#include "store/records/manifest.h"
#include "store/records/names.h"
#include "store/records/tensor_table.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint::manager {
namespace {

// What an archive needs in addition to the tensors' bytes: a header and a line of code for each
// tensor.
constexpr uint64_t kBytesBesideEachTensor = 1024;
constexpr uint64_t kBytesBeside = uint64_t{1} << 20;
// Begins what a rank tells instead of a report, if its layout is not that of rank 0.
constexpr char kLayout[] = "layout:";

std::string layout_text(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// What rank 0 says when the others may write.
struct Call {
  std::string staging;
  std::string digest;  // Of the layout.

  std::string text() const {
    return base::dump_json({{"staging", staging}, {"layout", digest}}, -1);
  }
  static Call from(const std::string& text) {
    const std::string source = "the call of rank 0";
    const nlohmann::json document = base::parse_json(text, source);
    const base::JsonFields fields(document, source);
    return {fields.string("staging"), fields.string("layout")};
  }
};

void log_seconds(const Manifest& manifest) {
  std::string text = "checkpoint '" + manifest.name + "':";
  for (const auto& [step, seconds] : manifest.seconds) {
    char number[32];
    std::snprintf(number, sizeof number, " %.4f s", seconds);
    text += ' ' + step + number;
  }
  base::log_debug(text);
}

// One rank's part in writing a checkpoint.
class Writing {
 public:
  Writing(const store::Directory& directory, group::Meeting& meeting, const state::Share& share,
          Manifest manifest, const WriteOptions& options)
      : directory_(directory),
        meeting_(meeting),
        share_(share),
        manifest_(std::move(manifest)),
        options_(options),
        reuse_(directory, share.captured, options.last, manifest_.name) {}

  Manifest lead() {
    reuse_.compare();
    if (reuse_.has_stubs()) manifest_.seconds["compare"] = watch_.lap();
    store::Transaction transaction(
        directory_, {manifest_.library_version, manifest_.run_id, manifest_.sequence},
        bytes_expected());
    // Tells of a failure before the transaction removes the directory: the others must not see that
    // first.
    meeting_.run([&] { write_and_commit(transaction); });
    log_saved();
    log_seconds(manifest_);
    return manifest_;
  }

  Manifest follow() {
    const Call call = Call::from(meeting_.hear("call"));
    compare_layout(call.digest);
    write_share(join(call.staging));
    meeting_.leave_it_to_rank_0();
    meeting_.gather("wrote", encode_report(*report_));
    hear_committed();
    return manifest_;
  }

 private:
  const group::Group& group() const { return meeting_.group(); }

  void write_and_commit(store::Transaction& transaction) {
    const store::Staging& staging = transaction.staging();
    if (!group().is_alone()) meeting_.announce("call", Call{staging.name(), digest()}.text());
    reuse_.link(staging);
    write_share(staging);
    store::TensorTable table = gather(staging);
    manifest_.files.push_back(
        staging.write_file(store::kTensorTableFile,
                           [&](store::ByteSink& sink) { store::write_tensor_table(table, sink); },
                           {0, nullptr, &options_.pool}));
    manifest_.bytes_written = manifest_.total_bytes() - reuse_.bytes_of_linked_files();
    manifest_.seconds["table"] = watch_.lap();
    reuse_.know_own(staging, manifest_.files.front(), std::move(table.tensors));
    transaction.commit(manifest_);
    reuse_.note_committed();
    manifest_.seconds["commit"] = watch_.lap();  // Not in the manifest on disk.
    tell_committed();
  }

  uint64_t bytes_expected() const {
    return tensor_bytes() +
           (share_.captured.tensor_count - reuse_.linked_count()) * kBytesBesideEachTensor +
           kBytesBeside;
  }

  // Of the tensors that are written.
  uint64_t tensor_bytes() const { return share_.captured.tensor_bytes - reuse_.linked_bytes(); }

  std::string digest() const {
    const std::string text = layout_text(share_.layout);
    return base::xxh3_128(text.data(), text.size());
  }

  // Each rank leaves to the others what they should write, so all must have the same layout.
  void compare_layout(const std::string& leader) {
    if (digest() == leader) return;
    meeting_.gather("wrote", kLayout + layout_text(share_.layout));
    meeting_.hear("committed");  // Rank 0 answers with a failure.
  }

  void require_same_layouts(const std::vector<std::string>& reports) const {
    std::string difference;
    std::string others;
    for (size_t rank = 1; rank < reports.size(); ++rank) {
      if (!base::begins_with(reports[rank], kLayout)) continue;
      if (difference.empty()) {
        difference = state::layout_difference(share_.layout,
                                              lines_of(reports[rank].substr(sizeof kLayout - 1)),
                                              static_cast<int64_t>(rank));
      } else {
        others += (others.empty() ? "; other ranks that differ: " : ", ") + std::to_string(rank);
      }
    }
    if (difference.empty()) return;
    throw Error(ErrorCode::kIncompatible, "the ranks do not save the same: " + difference + others,
                directory_.path(), 0,
                "Add what differs between the ranks to the State with PerRank().");
  }

  store::Staging join(const std::string& name) const {
    std::optional<store::Staging> staging;
    const bool is_there = group().is_seen([&] {
      meeting_.throw_if_failed();  // Rank 0 may have removed it again.
      try {
        staging.emplace(directory_, name);
        return true;
      } catch (const Error& error) {
        if (error.code() == ErrorCode::kNotFound) return false;
        throw;
      }
    });
    if (is_there) return *staging;
    throw Error(ErrorCode::kUnsupported,
                "rank " + std::to_string(group().rank()) +
                    " does not see what rank 0 writes into this directory",
                directory_.path(), 0,
                "All ranks need the same directory, on a file system that their machines share.");
  }

  void write_share(const store::Staging& staging) {
    const std::string name = store::content_file(options_.format, group().rank(), group().size());
    const state::Capture& captured = share_.captured;
    base::Meter meter(options_.on_transfer, Phase::kWrite, tensor_bytes());
    reuse_.write_settled(staging, options_.format, meter, options_.pool);
    const std::optional<Value> with_stubs =
        reuse_.has_stubs() ? std::make_optional(reuse_.tree()) : std::nullopt;
    const Value& tree = with_stubs ? *with_stubs : captured.tree;
    std::vector<store::TensorEntry> tensors;
    FileEntry file = staging.write_file(name,
                                        [&](store::ByteSink& sink) {
                                          tensors = encode(tree, captured.any_keys, options_.format,
                                                           sink, options_.plan);
                                        },
                                        {reuse_.content_bytes(), &meter, &options_.pool});
    manifest_.seconds["archive"] = watch_.lap();
    if (group().is_alone()) {
      file_ = std::move(file);
      tensors_ = std::move(tensors);
    } else {
      report_ = report_of(share_, tensors, std::move(file));
    }
  }

  // Returns the table of what all ranks have written, and completes the manifest.
  store::TensorTable gather(const store::Staging& staging) {
    store::TensorTable table;
    if (group().is_alone()) {
      table.optimizer_parameters = share_.captured.optimizer_parameters;
      table.eval_modules = share_.captured.eval_modules;
      table.tensors = std::move(tensors_);
      place_tensors(table);
      manifest_.items = share_.captured.items;
      manifest_.files.push_back(std::move(file_));
      reuse_.add_files(manifest_);
      return table;
    }
    std::vector<RankReport> reports = {std::move(*report_)};
    const std::vector<std::string> texts = meeting_.gather("wrote", "");
    require_same_layouts(texts);
    for (size_t rank = 1; rank < texts.size(); ++rank) {
      reports.push_back(decode_report(texts[rank], static_cast<int64_t>(rank)));
      require_seen(staging, reports.back().file, rank);
    }
    merge_reports(share_, std::move(reports), table, manifest_);
    manifest_.format_version = store::kFormatVersionOfRanks;
    manifest_.world_size = group().size();
    return table;
  }

  // Fills in what the encoder does not know: the file, and the device of each tensor.
  void place_tensors(store::TensorTable& table) const {
    for (store::TensorEntry& tensor : table.tensors) tensor.file = file_.name;
    reuse_.fill_in(table.tensors);
    for (store::TensorEntry& tensor : table.tensors) {
      const auto device = share_.captured.devices.find(tensor.key);
      tensor.device = device != share_.captured.devices.end() ? device->second : "cpu";
    }
  }

  void require_seen(const store::Staging& staging, const FileEntry& file, size_t rank) const {
    const std::string path = store::join(staging.path(), file.name);
    const bool seen = group().is_seen([&] {
      // Listing the directory makes NFS look again.
      const std::vector<std::string> names = store::list_directory(directory_.fs(), staging.path());
      return std::find(names.begin(), names.end(), file.name) != names.end() &&
             static_cast<uint64_t>(store::status_of(directory_.fs(), path).st_size) == file.bytes;
    });
    if (seen) return;
    throw Error(ErrorCode::kUnsupported,
                "rank 0 does not see the " + std::to_string(file.bytes) + " bytes that rank " +
                    std::to_string(rank) + " has written",
                path, 0,
                "All ranks need the same directory, on a file system that their machines share.");
  }

  void log_saved() const {
    std::string text = "saved checkpoint '" + directory_.path_of(manifest_.name) + "'";
    if (manifest_.bytes_written < manifest_.total_bytes()) {
      text += ", " + std::to_string(manifest_.bytes_written) + " of " +
              std::to_string(manifest_.total_bytes()) + " bytes written";
    }
    base::log_info(text);
  }

  // The checkpoint is there: what fails now must not fail the save.
  void tell_committed() const {
    try {
      meeting_.announce("committed", "");
    } catch (const std::exception& error) {
      base::log_warning(std::string("the checkpoint is saved, but the other ranks do not know: ") +
                        error.what());
    }
  }

  void hear_committed() const {
    try {
      meeting_.hear("committed");
    } catch (const group::LostTouch& error) {
      throw Error(error.code(),
                  "the checkpoint '" + manifest_.name +
                      "' may have been committed: rank 0 did not answer: " + error.what(),
                  directory_.path(), 0, "The next restore finds out.");
    }
  }

  const store::Directory& directory_;
  group::Meeting& meeting_;
  const state::Share& share_;
  Manifest manifest_;
  const WriteOptions& options_;
  Reuse reuse_;
  base::Stopwatch watch_;
  FileEntry file_;                           // Of a process alone,
  std::vector<store::TensorEntry> tensors_;  // and what it has written.
  std::optional<RankReport> report_;         // Of one of several ranks.
};

}  // namespace

Manifest write_checkpoint(const store::Directory& directory, group::Meeting& meeting,
                          const state::Share& share, Manifest manifest,
                          const WriteOptions& options) {
  Writing writing(directory, meeting, share, std::move(manifest), options);
  return meeting.group().leads() ? writing.lead() : writing.follow();
}

}  // namespace checkpoint::manager
