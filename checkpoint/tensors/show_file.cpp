// torch-checkpoint show, for what this library's manager did not write: the tensors that a
// directory holds, as text or JSON. Reads no tensor.

#include "command.h"
#include "output.h"

#include "tensor_errors.h"

#include "base/shape_text.h"
#include "format/listing.h"

#include <cstdio>
#include <memory>

namespace checkpoint::cli {
namespace {

// The command line of show.
struct ShowFileArguments {
  std::string path;
  bool json = false;
};

uint64_t listed_bytes(const format::Listing& listing) {
  uint64_t bytes = 0;
  for (const format::ListedTensor& tensor : listing.tensors) bytes += tensor.bytes;
  return bytes;
}

void print_listing(const format::Listing& listing) {
  std::vector<std::vector<std::string>> rows = {
      {"TENSOR", "DTYPE", "SHAPE", "DEVICE", ">PARTS", ">SIZE"}};
  for (const format::ListedTensor& tensor : listing.tensors) {
    rows.push_back({printable(tensor.key), tensor.dtype, base::shape_text(tensor.shape),
                    tensor.device, std::to_string(tensor.parts), human_bytes(tensor.bytes)});
  }
  print_table(rows);
  std::printf("\n%zu tensors, %s; %zu other values\n", listing.tensors.size(),
              human_bytes(listed_bytes(listing)).c_str(), listing.values);
}

void print_listing_as_json(const std::string& path, const format::Listing& listing) {
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const format::ListedTensor& tensor : listing.tensors) {
    tensors.push_back({{"key", tensor.key},
                       {"dtype", tensor.dtype},
                       {"shape", tensor.shape},
                       {"device", tensor.device},
                       {"bytes", tensor.bytes},
                       {"parts", tensor.parts}});
  }
  print_json({{"path", path},
              {"format", listing.format},
              {"tensors", std::move(tensors)},
              {"values", listing.values}});
}

}  // namespace

void add_show_file(CLI::App& app, Run& run) {
  auto arguments = std::make_shared<ShowFileArguments>();
  CLI::App* command = app.add_subcommand(
      "show", "Shows what a distributed checkpoint or a model in several files holds.");
  command->add_option("CHECKPOINT", arguments->path)->required();
  command->add_flag("--json", arguments->json);
  command->callback([arguments, &run] {
    run = without_backtraces([arguments] {
      const format::Listing listing = format::list_content(arguments->path);
      if (arguments->json) {
        print_listing_as_json(arguments->path, listing);
      } else {
        print_listing(listing);
      }
      return kAllWell;
    });
  });
}

}  // namespace checkpoint::cli
