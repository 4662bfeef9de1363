// torch-checkpoint show: the progress, items and tensors of one checkpoint, as text or JSON.
//
// It reads the manifest and the tensor table and checks the digests of both. It does not read the
// tensors, so it is fast even for large checkpoints. For JSON it also reads the directory of the
// checkpoint, to say whether and why the checkpoint stays.

#include "command.h"
#include "directory_view.h"
#include "output.h"
#include "places.h"

#include "base/shape_text.h"
#include "store/directory/directory.h"
#include "store/directory/verify.h"
#include "store/io/file.h"
#include "store/records/names.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

namespace checkpoint::cli {
namespace {

// The command line of show.
struct ShowArguments {
  std::string checkpoint;
  bool json = false;
};

// What show has read and will print.
struct Shown {
  std::string path;
  Manifest manifest;
  store::TensorTable table;
};

Shown read(const std::string& path) {
  store::FileSystem& fs = store::posix_file_system();
  need_checkpoint(fs, path);
  try {
    store::VerifiedCheckpoint checkpoint = store::verify_files(fs, path, {store::kTensorTableFile});
    checkpoint.manifest.name = store::name_at(path);
    return {path, checkpoint.manifest, checkpoint.tensor_table()};
  } catch (const Error& error) {
    // A checkpoint that lacks a file is damaged. One that was removed in the meantime is not.
    if (error.code() != ErrorCode::kNotFound || !is_checkpoint(fs, path)) throw;
    throw Error(ErrorCode::kCorrupt, error.what());
  }
}

// Returns the JSON fields that come from the checkpoint's directory. Only "pinned" if that
// directory does not list the checkpoint, for example because it was set aside.
nlohmann::ordered_json retention_fields_of(const std::string& path) {
  const std::filesystem::path place = std::filesystem::canonical(path);
  const DirectoryView view = read_directory(place.parent_path(), {});
  const std::vector<store::FoundCheckpoint>& found = view.decision.found;
  const auto own = std::find_if(found.begin(), found.end(), [&](const auto& checkpoint) {
    return checkpoint.name == place.filename();
  });
  if (own == found.end()) return {{"pinned", false}};
  return retention_fields(view, static_cast<size_t>(own - found.begin()));
}

std::string groups_text(const ItemEntry& item) {
  if (item.group_sizes.empty()) return "";
  std::string text = std::to_string(item.group_sizes.size()) +
                     (item.group_sizes.size() == 1 ? " group of " : " groups of ");
  for (size_t i = 0; i < item.group_sizes.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(item.group_sizes[i]);
  }
  return text + " parameters";
}

// "0-3, 7": the ranks that have saved an item each for itself.
std::string ranks_text(const std::vector<int64_t>& ranks) {
  std::string text;
  for (size_t i = 0; i < ranks.size();) {
    size_t last = i;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    text += (text.empty() ? "" : ", ") + std::to_string(ranks[i]);
    if (last > i) text += "-" + std::to_string(ranks[last]);
    i = last + 1;
  }
  return text;
}

void line(const char* label, const std::string& text) {
  if (!text.empty()) std::printf("%-10s %s\n", label, printable(text).c_str());
}

// What each rank has written.
void print_files_of_ranks(const Manifest& manifest) {
  std::vector<std::vector<std::string>> files = {{">RANK", "FILE", ">SIZE"}};
  for (const FileEntry& file : manifest.files) {
    if (!store::is_content_file(file.name)) continue;
    files.push_back(
        {std::to_string(files.size() - 1), printable(file.name), human_bytes(file.bytes)});
  }
  print_table(files);
  std::printf("\n");
}

bool has_unchanged(const Manifest& manifest) {
  return std::any_of(manifest.files.begin(), manifest.files.end(),
                     [](const FileEntry& file) { return store::is_unchanged_file(file.name); });
}

// How many checkpoints have this file, as far as the file system knows. 0 if it is missing.
uint64_t names_of(const std::string& path) {
  const struct stat status = store::status_of(store::posix_file_system(), path);
  return S_ISREG(status.st_mode) ? static_cast<uint64_t>(status.st_nlink) : 0;
}

// What is shared with other checkpoints (reuse_unchanged).
void print_shared_files(const Shown& shown) {
  std::vector<std::vector<std::string>> files = {{"FILE", ">SIZE", ">IN CHECKPOINTS"}};
  for (const FileEntry& file : shown.manifest.files) {
    if (!store::holds_tensors(file.name)) continue;
    const uint64_t names = names_of(store::join(shown.path, file.name));
    files.push_back({printable(file.name), human_bytes(file.bytes),
                     names == 0 ? "missing" : std::to_string(names)});
  }
  print_table(files);
  std::printf("\n");
}

// A tensor in several files has its parts in place of its own file.
nlohmann::ordered_json place_fields(const store::TensorEntry& tensor) {
  if (tensor.parts.empty()) {
    return {{"file", tensor.file},
            {"offset", tensor.offset},
            {"bytes", tensor.bytes},
            {"xxh3_128", tensor.xxh3_128.text()}};
  }
  nlohmann::ordered_json parts = nlohmann::ordered_json::array();
  for (const store::TensorPart& part : tensor.parts) {
    parts.push_back({{"file", part.file},
                     {"offset", part.offset},
                     {"bytes", part.bytes},
                     {"xxh3_128", part.xxh3_128.text()},
                     {"at", part.at},
                     {"shape", part.shape}});
  }
  return {{"bytes", tensor.bytes}, {"parts", std::move(parts)}};
}

void print(const Shown& shown) {
  const Manifest& manifest = shown.manifest;
  const Progress& progress = manifest.progress;
  line("path", shown.path);
  line("created", manifest.created);
  line("epoch", std::to_string(progress.epoch) + (progress.epoch_done ? "" : " (not finished)"));
  line("step", std::to_string(progress.step));
  line("loss", human_number(progress.loss));
  line("metrics", human_metrics(progress));
  line("sequence", std::to_string(manifest.sequence));
  line("resumed", manifest.parent.empty() ? "" : "from " + manifest.parent);
  line("made by",
       "TorchCheckpoint " + manifest.library_version + ", LibTorch " + manifest.libtorch_version);
  std::printf("\n");

  if (manifest.world_size > 1) print_files_of_ranks(manifest);
  if (has_unchanged(manifest)) print_shared_files(shown);
  std::vector<std::vector<std::string>> items = {{"ITEM", "KIND", "TYPE", "GROUPS"}};
  if (manifest.world_size > 1) items.front().push_back("OF RANKS");
  for (const ItemEntry& item : manifest.items) {
    items.push_back(
        {printable(item.name), printable(item.kind), printable(item.type), groups_text(item)});
    if (manifest.world_size > 1) items.back().push_back(ranks_text(item.ranks));
  }
  print_table(items);
  std::printf("\n");

  std::vector<std::vector<std::string>> tensors = {{"TENSOR", "DTYPE", "SHAPE", "DEVICE", ">SIZE"}};
  uint64_t bytes = 0;
  for (const store::TensorEntry& tensor : shown.table.tensors) {
    bytes += tensor.bytes;
    const std::string owner = tensor.rank >= 0 ? " (rank " + std::to_string(tensor.rank) + ')' : "";
    tensors.push_back({printable(tensor.key) + owner, printable(tensor.dtype),
                       base::shape_text(tensor.shape), printable(tensor.device),
                       human_bytes(tensor.bytes)});
  }
  print_table(tensors);
  std::printf("\n%zu tensors, %s; %s on disk", shown.table.tensors.size(),
              human_bytes(bytes).c_str(), human_bytes(manifest.total_bytes()).c_str());
  if (has_unchanged(manifest)) {
    std::printf(", of which its save wrote %s", human_bytes(manifest.bytes_written).c_str());
  }
  std::printf("\n");
}

void print_as_json(const Shown& shown) {
  nlohmann::ordered_json document = {{"name", shown.manifest.name}, {"path", shown.path}};
  document.update(retention_fields_of(shown.path));
  document.update(to_json(shown.manifest));
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const store::TensorEntry& tensor : shown.table.tensors) {
    nlohmann::ordered_json entry = {{"key", tensor.key},
                                    {"dtype", tensor.dtype},
                                    {"shape", tensor.shape},
                                    {"device", tensor.device}};
    if (tensor.rank >= 0) entry["rank"] = tensor.rank;
    entry.update(place_fields(tensor));
    tensors.push_back(std::move(entry));
  }
  document["tensors"] = std::move(tensors);
  document["optimizer_parameters"] = shown.table.optimizer_parameters;
  print_json(document);
}

}  // namespace

void add_show(CLI::App& app, Run& run, char** argv) {
  auto arguments = std::make_shared<ShowArguments>();
  CLI::App* command = app.add_subcommand(
      "show",
      "Shows what a checkpoint holds: its progress, items and tensors. Does not read the "
      "tensors; verify does.");
  command
      ->add_option(
          "CHECKPOINT", arguments->checkpoint,
          "A checkpoint's directory, one of PyTorch's Distributed Checkpoint, or a model in "
          "several files: its index or directory")
      ->required();
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer("Example: torch-checkpoint show runs/digits/latest");
  command->callback([arguments, argv, &run] {
    run = [arguments, argv] {
      store::FileSystem& fs = store::posix_file_system();
      const std::string& path = arguments->checkpoint;
      if (is_distributed(fs, path) || is_sharded(fs, path)) {
        become_tensors_program(argv);
      }
      const Shown shown = read(arguments->checkpoint);
      if (arguments->json) {
        print_as_json(shown);
      } else {
        print(shown);
      }
      return kAllWell;
    };
  });
}

}  // namespace checkpoint::cli
