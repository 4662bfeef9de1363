#include "command.h"
#include "output.h"

#include "reshape.h"

#include <checkpoint/error.h>
#include <checkpoint/state_dict.h>

#include <torch/torch.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

namespace checkpoint::cli {
namespace {

struct Arguments {
  std::string input;
  std::string output;
  std::string item;
  std::string dtype;
  std::vector<std::string> renames;  // "FROM=TO"
};

const std::map<std::string, c10::ScalarType>& dtypes() {
  static const std::map<std::string, c10::ScalarType> known = {{"float64", at::kDouble},
                                                               {"float32", at::kFloat},
                                                               {"float16", at::kHalf},
                                                               {"bfloat16", at::kBFloat16}};
  return known;
}

// The first prefix that fits is replaced, as by RestoreOptions::rename.
Renaming renaming(const std::vector<std::string>& renames) {
  std::vector<std::pair<std::string, std::string>> prefixes;
  for (const std::string& rename : renames) {
    const size_t equals = rename.find('=');
    prefixes.emplace_back(rename.substr(0, equals), rename.substr(equals + 1));
  }
  return [prefixes](const std::string& name) {
    for (const auto& [from, to] : prefixes) {
      if (name.compare(0, from.size(), from) == 0) return to + name.substr(from.size());
    }
    return name;
  };
}

std::string check_rename(const std::string& text) {
  return text.find('=') == std::string::npos ? "write it as FROM=TO" : "";
}

Value chosen(const Value& tree, const Arguments& arguments) {
  if (arguments.item.empty()) return tree;
  const Value* const item = tree.is_dict() ? tree.dict().find(arguments.item) : nullptr;
  if (item == nullptr) {
    throw Error(ErrorCode::kNotFound, "there is no item '" + arguments.item + "'", arguments.input,
                0, "torch-checkpoint show lists a checkpoint's items.");
  }
  return *item;
}

ExitCode convert(const Arguments& arguments) {
  Value tree = chosen(load(arguments.input, torch::kCPU), arguments);
  if (!arguments.dtype.empty()) tree = with_dtype(tree, dtypes().at(arguments.dtype));
  tree = with_flat_modules(tree, renaming(arguments.renames));
  // LibTorch's own modules load nested archives, everybody else's flat state_dicts.
  const bool to_archive = std::filesystem::path(arguments.output).extension() == ".pt";
  save(to_archive ? with_nested_modules(tree) : tree, arguments.output);
  std::printf("%s\n", printable(arguments.output).c_str());
  return kAllWell;
}

}  // namespace

void add_convert(CLI::App& app, Run& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("convert", kConvertText);
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
  command->footer(
      "Example: torch-checkpoint convert runs/digits/best model.safetensors --item model");
  command->callback([arguments, &run] { run = [arguments] { return convert(*arguments); }; });
}

}  // namespace checkpoint::cli
