#include "manager/write_checkpoint.h"

#include "base/log.h"
#include "base/meter.h"
#include "base/stopwatch.h"
#include "format/torch/archive_writer.h"
#include "format/torch/pth_writer.h"
#include "store/directory/transaction.h"
#include "store/records/names.h"
#include "store/records/tensor_table.h"

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint::manager {
namespace {

// What an archive needs in addition to the tensors' bytes: a header and a line of code for each
// tensor.
constexpr uint64_t kBytesBesideEachTensor = 1024;
constexpr uint64_t kBytesBeside = uint64_t{1} << 20;

std::vector<store::TensorEntry> encode(const state::Capture& captured, Format format,
                                       store::ByteSink& sink) {
  return format == Format::kPth
             ? format::write_pth_with_table(captured.tree, sink)
             : format::write_archive(captured.tree.dict(), sink, captured.any_keys);
}

// Fills in what the encoder does not know: the file, and the device of each tensor.
void place_tensors(store::TensorTable& table, const state::Capture& captured, const char* file) {
  for (store::TensorEntry& tensor : table.tensors) {
    tensor.file = file;
    const auto device = captured.devices.find(tensor.key);
    tensor.device = device != captured.devices.end() ? device->second : "cpu";
  }
}

void log_seconds(const Manifest& manifest) {
  std::string text = "checkpoint '" + manifest.name + "':";
  for (const auto& [step, seconds] : manifest.seconds) {
    char number[32];
    std::snprintf(number, sizeof number, " %.4f s", seconds);
    text += ' ' + step + number;
  }
  base::log_debug(text);
}

}  // namespace

Manifest write_checkpoint(const store::Directory& directory, const state::Capture& captured,
                          Manifest manifest, Format format, const OnTransfer& on_transfer) {
  base::Stopwatch watch;
  store::TensorTable table;
  table.optimizer_parameters = captured.optimizer_parameters;
  table.eval_modules = captured.eval_modules;
  const uint64_t bytes_expected =
      captured.tensor_bytes + captured.tensor_count * kBytesBesideEachTensor + kBytesBeside;
  store::Transaction transaction(
      directory, {manifest.library_version, manifest.run_id, manifest.sequence}, bytes_expected);
  base::Meter meter(on_transfer, Phase::kWrite, captured.tensor_bytes);
  const char* const content = store::content_file(format);
  manifest.files.push_back(transaction.staging().write_file(
      content, [&](store::ByteSink& sink) { table.tensors = encode(captured, format, sink); },
      captured.tensor_bytes, &meter));
  manifest.seconds["archive"] = watch.lap();

  place_tensors(table, captured, content);
  manifest.files.push_back(transaction.staging().write_file(
      store::kTensorTableFile,
      [&](store::ByteSink& sink) { store::write_tensor_table(table, sink); }));
  manifest.seconds["table"] = watch.lap();

  transaction.commit(manifest);
  manifest.seconds["commit"] = watch.lap();  // Not in the manifest on disk.
  base::log_info("saved checkpoint '" + directory.path_of(manifest.name) + "'");
  log_seconds(manifest);
  return manifest;
}

}  // namespace checkpoint::manager
