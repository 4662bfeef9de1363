// torch-checkpoint convert: reads a checkpoint or a file as a tree and saves it in another format,
// which the extension of the output or --to decides.
//
//   1. Map the input, give its optimizers and schedulers the form that the output's
//      program loads, and choose one item if --item is given.
//   2. Refuse expanded tensors that would take far too much memory.
//   3. Convert the dtypes.
//   4. Make the modules flat, and rename their tensors. For a LibTorch archive (.pt), nest them
//      again: LibTorch's own modules load nested dicts, Python loads flat ones.
//   5. Check that nothing would be lost, then save.
//
// The model may be larger than the memory: its tensors are pages of the mapped input. Those that
// cannot be mapped, and the results of step 3, are scratch memory.

#include "command.h"
#include "output.h"

#include "dtype.h"
#include "flat.h"
#include "repeats.h"
#include "reshape.h"
#include "scratch_memory.h"
#include "tensor_errors.h"

#include "base/near_names.h"
#include "format/tree/path.h"
#include "store/records/names.h"

#include <checkpoint/error.h>
#include <checkpoint/file.h>
#include <checkpoint/state_dict.h>

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

// The command line of convert.
struct Arguments {
  std::string input;
  std::string output;
  std::string item;
  std::string dtype;
  std::string to;                    // Empty: the extension of the output.
  std::vector<std::string> renames;  // "FROM=TO"
  std::string optimizer_form;        // Empty: the output's extension decides.
  uint64_t max_shard_size = 0;       // 0: one file.
  bool json = false;
};

const std::map<std::string, c10::ScalarType>& dtypes() {
  static const std::map<std::string, c10::ScalarType> known = {{"float64", at::kDouble},
                                                               {"float32", at::kFloat},
                                                               {"float16", at::kHalf},
                                                               {"bfloat16", at::kBFloat16}};
  return known;
}

const std::map<std::string, OptimizerForm>& optimizer_forms() {
  static const std::map<std::string, OptimizerForm> known = {
      {"libtorch", OptimizerForm::kLibTorch},
      {"python", OptimizerForm::kPython},
      {"python-names", OptimizerForm::kPythonWithNames},
      {"by-name", OptimizerForm::kByName}};
  return known;
}

const std::map<std::string, Format>& formats() {
  static const std::map<std::string, Format> known = {{"pt", Format::kArchive},
                                                      {"pth", Format::kPth},
                                                      {"safetensors", Format::kSafetensors},
                                                      {"dcp", Format::kDcp}};
  return known;
}

bool writes(const Arguments& arguments, Format format, const char* extension) {
  if (!arguments.to.empty()) return formats().at(arguments.to) == format;
  return fs::path(arguments.output).extension() == extension;
}

// Replaces prefixes of names. The first one that fits is used, as in RestoreOptions::rename.
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

  // Throws Error(invalid_argument) if one of them has replaced nothing.
  void require_met(const std::string& file) const {
    for (size_t i = 0; i < texts_.size(); ++i) {
      if (met_[i]) continue;
      throw Error(ErrorCode::kInvalidArgument,
                  "--rename " + texts_[i] + " matches no name of a module's tensors" +
                      base::instead_of(base::Glob::of_prefix(from_of(texts_[i])), names_),
                  file, 0,
                  "Write FROM without the item's name. If several rules fit a name, the first one "
                  "is used.");
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

// LibTorch's own optimizers load a .pt; Python's load the others.
Value loaded(const Arguments& arguments) {
  const std::string by_extension =
      writes(arguments, Format::kArchive, ".pt") ? "libtorch" : "python";
  const OptimizerForm form = optimizer_forms().at(
      arguments.optimizer_form.empty() ? by_extension : arguments.optimizer_form);
  // A link ("latest") may change while we read.
  const bool is_directory = fs::is_directory(arguments.input);
  const std::string input =
      is_directory ? fs::canonical(arguments.input).string() : arguments.input;
  // Directories of other programs have no table with the names of parameters.
  const bool is_checkpoint = is_directory && fs::exists(fs::path(input) / store::kManifestFile);
  return with_optimizer_form(load(input, LoadOptions(torch::kCPU).mmap(true)), form,
                             is_checkpoint ? input : "");
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

// Only safetensors files have metadata. It is kept if the output is a safetensors file too.
// Otherwise prints which entries are left out, except {"format": "pt"}, which all our files have.
SaveOptions with_metadata_of(const Arguments& arguments) {
  SaveOptions options;
  if (!arguments.to.empty()) options.format(formats().at(arguments.to));
  if (arguments.max_shard_size > 0) options.max_shard_size(arguments.max_shard_size);
  std::map<std::string, std::string> metadata = load_metadata(arguments.input);
  // What an index says of its own shards.
  for (const char* name : {"total_size", "total_parameters"}) metadata.erase(name);
  if (writes(arguments, Format::kSafetensors, ".safetensors")) return options.metadata(metadata);
  metadata.erase("format");
  std::vector<std::string> names;
  for (const auto& [name, text] : metadata) names.push_back(name);
  if (!names.empty()) {
    std::fprintf(stderr,
                 "torch-checkpoint: metadata left out, because only .safetensors can hold it: %s\n",
                 printable(joined(names)).c_str());
  }
  return options;
}

// Throws Error(unsupported) for an integer key: in nested dicts, a LibTorch archive allows only
// names.
void check_keys(const Dict& dict, const std::string& path, const Arguments& arguments) {
  for (const auto& [key, value] : dict) {
    const std::string name = format::dotted(path, to_string(key));
    if (std::holds_alternative<int64_t>(key)) {
      throw Error(ErrorCode::kUnsupported,
                  "'" + name +
                      "' has an integer as its key, which a LibTorch archive (.pt) cannot "
                      "hold at this place",
                  arguments.input, 0,
                  "Convert an item without such keys (for example --item model), or write .pth or "
                  ".safetensors.");
    }
    if (value.is_dict()) check_keys(value.dict(), name, arguments);
  }
}

size_t count_tensors(const Value& tree, const Arguments& arguments) {
  const Flat flat = flatten(tree, SameName::kNumber, arguments.input);
  if (tree.is_dict() && tree.dict().empty()) {
    throw Error(
        ErrorCode::kInvalidArgument, "no named tensors or values to convert", arguments.input, 0,
        "Convert the module from before torch.jit.freeze: a frozen TorchScript module has only "
        "constants without names.");
  }
  return static_cast<size_t>(
      std::count_if(flat.names.begin(), flat.names.end(),
                    [&](const auto& name) { return flat.find(name)->is_tensor(); }));
}

void print_as_json(const Arguments& arguments, size_t tensors) {
  print_json({{"output", arguments.output}, {"tensors", tensors}});
}

// The directory of a file to be written, or the nearest one above it that is there.
std::string existing_parent(const std::string& path) {
  fs::path parent = fs::absolute(path).parent_path();
  while (!fs::exists(parent)) parent = parent.parent_path();
  return parent.string();
}

ExitCode convert(const Arguments& arguments) {
  const ScratchMemory scratch(existing_parent(arguments.output));
  Value tree = chosen(loaded(arguments), arguments);
  check_fits(tree, arguments.input);
  if (!arguments.dtype.empty()) {
    tree = with_dtype(std::move(tree), dtypes().at(arguments.dtype), arguments.input);
  }
  // LibTorch's own modules load nested archives. All others load flat state_dicts.
  const bool archive = writes(arguments, Format::kArchive, ".pt");
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
  save(tree, arguments.output, with_metadata_of(arguments));
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
  command
      ->add_option("IN", arguments->input,
                   "A checkpoint, a file of any format, a directory of PyTorch's Distributed "
                   "Checkpoint, or a model in several files: its index or directory")
      ->required();
  command
      ->add_option("OUT", arguments->output,
                   "The new file: .pt, .pth or .safetensors; with --to dcp, a new directory")
      ->required();
  command
      ->add_option("--to", arguments->to,
                   "The format, if the extension does not say it; dcp is PyTorch's Distributed "
                   "Checkpoint")
      ->check(CLI::IsMember(formats()));
  command
      ->add_option("--max-shard-size", arguments->max_shard_size,
                   "Write .safetensors files of at most this size and an index, as Hugging Face "
                   "does: 5GB, 500MB, 2GiB")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
      ->check(CLI::PositiveNumber);
  command->add_option("--item", arguments->item, "Convert only this item, such as model");
  command->add_option("--dtype", arguments->dtype, "Convert floating-point tensors to this dtype")
      ->check(CLI::IsMember(dtypes()));
  command
      ->add_option("--rename", arguments->renames,
                   "FROM=TO: replace the prefix FROM of a module's tensor names; may be repeated")
      ->check(check_rename)
      ->take_all()
      ->expected(1);
  command
      ->add_option("--optimizer-form", arguments->optimizer_form,
                   "How optimizers and schedulers are laid out: libtorch (default for .pt), python "
                   "(default for others), python-names (with param_names) or by-name (names for "
                   "indices)")
      ->check(CLI::IsMember(optimizer_forms()));
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer(
      "Example: torch-checkpoint convert runs/digits/best model.safetensors --item model");
  command->callback(
      [arguments, &run] { run = without_backtraces([arguments] { return convert(*arguments); }); });
}

}  // namespace checkpoint::cli
