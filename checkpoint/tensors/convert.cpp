// torch-checkpoint convert: reads a file or a checkpoint as a tree, chooses and renames its
// entries, converts dtypes, and saves it in the format of the output's extension.

#include "command.h"
#include "output.h"

#include "dtype.h"
#include "flat.h"
#include "repeats.h"
#include "reshape.h"
#include "tensor_errors.h"

#include "base/near_names.h"
#include "format/tree/path.h"

#include <checkpoint/error.h>
#include <checkpoint/file.h>

#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

namespace checkpoint::cli {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string input;
  std::string output;
  std::string item;
  std::string dtype;
  std::vector<std::string> renames;  // "FROM=TO"
  bool json = false;
};

const std::map<std::string, c10::ScalarType>& dtypes() {
  static const std::map<std::string, c10::ScalarType> known = {{"float64", at::kDouble},
                                                               {"float32", at::kFloat},
                                                               {"float16", at::kHalf},
                                                               {"bfloat16", at::kBFloat16}};
  return known;
}

// Prefixes of names that are replaced: the first that fits, as by RestoreOptions::rename.
class Renames {
 public:
  explicit Renames(const std::vector<std::string>& texts) : texts_(texts), met_(texts.size()) {}

  std::string rename(const std::string& name) {
    names_.push_back(name);
    for (size_t i = 0; i < texts_.size(); ++i) {
      const std::string from = from_of(texts_[i]);
      if (name.compare(0, from.size(), from) != 0) continue;
      met_[i] = true;
      return texts_[i].substr(from.size() + 1) + name.substr(from.size());
    }
    return name;
  }

  // Throws Error(invalid_argument) for one that has replaced nothing.
  void require_met(const std::string& file) const {
    for (size_t i = 0; i < texts_.size(); ++i) {
      if (met_[i]) continue;
      throw Error(ErrorCode::kInvalidArgument,
                  "--rename " + texts_[i] + " meets no name of a module's tensors" +
                      base::instead_of(base::Glob::of_prefix(from_of(texts_[i])), names_),
                  file, 0, "The first that fits a name is used, and sees it without the item.");
    }
  }

 private:
  static std::string from_of(const std::string& text) { return text.substr(0, text.find('=')); }

  const std::vector<std::string>& texts_;
  std::vector<bool> met_;
  std::vector<std::string> names_;
};

std::string check_rename(const std::string& text) {
  return text.find('=') == std::string::npos ? "write it as FROM=TO" : "";
}

Value chosen(const Value& tree, const Arguments& arguments) {
  if (arguments.item.empty()) return tree;
  const Value* const item = tree.is_dict() ? tree.dict().find(arguments.item) : nullptr;
  if (item == nullptr) {
    std::vector<std::string> items;
    if (tree.is_dict()) items = format::keys_of(tree.dict());
    throw Error(ErrorCode::kNotFound,
                "no item '" + arguments.item + "'" + base::instead_of(arguments.item, items),
                arguments.input, 0, "torch-checkpoint show lists a checkpoint's items.");
  }
  return *item;
}

// Only a safetensors file has any. What it has beside {"format": "pt"}, which every one of ours
// has, is kept in another one.
SaveOptions with_metadata_of(const std::string& input, const std::string& output) {
  if (fs::is_directory(input)) return {};
  std::map<std::string, std::string> metadata = load_metadata(input);
  if (fs::path(output).extension() == ".safetensors") return SaveOptions().metadata(metadata);
  metadata.erase("format");
  std::vector<std::string> names;
  for (const auto& [name, text] : metadata) names.push_back(name);
  if (!names.empty()) {
    std::fprintf(stderr, "torch-checkpoint: left out, as only .safetensors can hold metadata: %s\n",
                 printable(joined(names)).c_str());
  }
  return {};
}

// A LibTorch archive has names alone where dicts are in dicts.
void check_keys(const Dict& dict, const std::string& path, const Arguments& arguments) {
  for (const auto& [key, value] : dict) {
    const std::string name = format::dotted(path, to_string(key));
    if (std::holds_alternative<int64_t>(key)) {
      throw Error(ErrorCode::kUnsupported,
                  "'" + name +
                      "' has an integer as its key, which a LibTorch archive (.pt) cannot "
                      "hold at this place",
                  arguments.input, 0,
                  "Convert an item without such keys (as by --item model), or write .pth or "
                  ".safetensors.");
    }
    if (value.is_dict()) check_keys(value.dict(), name, arguments);
  }
}

size_t count_tensors(const Value& tree, const Arguments& arguments) {
  const Flat flat = flatten(tree, SameName::kNumber, arguments.input);
  if (tree.is_dict() && tree.dict().empty()) {
    throw Error(ErrorCode::kInvalidArgument, "no named tensors or values to convert",
                arguments.input, 0,
                "A frozen TorchScript module (torch.jit.freeze) has only constants without names: "
                "convert the module that was frozen.");
  }
  return static_cast<size_t>(
      std::count_if(flat.names.begin(), flat.names.end(),
                    [&](const auto& name) { return flat.find(name)->is_tensor(); }));
}

void print_as_json(const Arguments& arguments, size_t tensors) {
  print_json({{"output", arguments.output}, {"tensors", tensors}});
}

ExitCode convert(const Arguments& arguments) {
  Value tree = chosen(load(arguments.input, torch::kCPU), arguments);
  check_fits(tree, arguments.input);
  if (!arguments.dtype.empty()) {
    tree = with_dtype(std::move(tree), dtypes().at(arguments.dtype), arguments.input);
  }
  // LibTorch's own modules load nested archives, everybody else's flat state_dicts.
  const bool archive = fs::path(arguments.output).extension() == ".pt";
  Renames renames(arguments.renames);
  tree = with_flat_modules(
      tree, [&](const std::string& name) { return renames.rename(name); }, arguments.input,
      archive ? EmptyModules::kKept : EmptyModules::kLeftOut);
  renames.require_met(arguments.input);
  if (archive) {
    tree = with_nested_modules(tree);
    if (tree.is_dict()) check_keys(tree.dict(), "", arguments);
  }
  const size_t tensors = count_tensors(tree, arguments);
  save(tree, arguments.output, with_metadata_of(arguments.input, arguments.output));
  if (arguments.json) {
    print_as_json(arguments, tensors);
  } else {
    std::printf("%s\n", printable(arguments.output).c_str());
  }
  return kAllWell;
}

}  // namespace

void add_convert(CLI::App& app, Run& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(kConvert, kConvertText);
  command->add_option("IN", arguments->input, "A checkpoint or a file of any format")->required();
  command->add_option("OUT", arguments->output, "The new file: .pt, .pth or .safetensors")
      ->required();
  command->add_option("--item", arguments->item, "This item alone, such as model");
  command->add_option("--dtype", arguments->dtype, "Floating-point tensors in this dtype")
      ->check(CLI::IsMember(dtypes()));
  command
      ->add_option("--rename", arguments->renames,
                   "FROM=TO: names of a module's tensors that begin with FROM; may be repeated")
      ->check(check_rename)
      ->take_all()
      ->expected(1);
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer(
      "Example: torch-checkpoint convert runs/digits/best model.safetensors --item model");
  command->callback(
      [arguments, &run] { run = without_backtraces([arguments] { return convert(*arguments); }); });
}

}  // namespace checkpoint::cli
