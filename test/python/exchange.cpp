// exchange write DIRECTORY: writes what `trees.py check` reads.
// exchange check DIRECTORY: reads what `trees.py write` wrote.

#include "python/check_files.h"

#include <checkpoint/checkpoint.h>

#include <torch/torch.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace checkpoint {
namespace {

// Both programs call the same kernels, in the same order, but for Adam's averages: Python adds to
// them with lerp.
double tolerance_of(const std::string& name) {
  return name == "Adam" || name == "AdamW" ? 1e-6 : 0;
}

class Directory {
 public:
  explicit Directory(std::string path) : path_(std::move(path)) {
    std::filesystem::create_directories(path_);
  }

  std::string at(const std::string& name) const { return path_ + '/' + name; }
  template <typename Tree>
  void write(const std::string& name, const Tree& tree, const Value& value) const {
    checkpoint::save(tree, at(name));  // Not torch::save.
    std::ofstream(at(name) + ".txt", std::ios::binary) << describe(value);
  }
  void write(const std::string& name, const Value& tree) const { write(name, tree, tree); }

 private:
  std::string path_;
};

Value to_value(const StateDict& weights) {
  Dict dict;
  for (const auto& entry : weights) dict.insert(entry.key(), entry.value());
  return dict;
}

Value many_kinds() {
  const at::Tensor base = torch::arange(24, torch::kFloat);
  const at::Tensor tied = torch::arange(4, torch::kShort);
  Dict tree;
  tree.insert("none", Value());
  tree.insert("bools", Value::List{true, false});
  Value::List integers;
  for (const int64_t number :
       {int64_t{0}, int64_t{255}, int64_t{256}, int64_t{-1}, int64_t{INT32_MAX}, int64_t{INT32_MIN},
        int64_t{1} << 40, -(int64_t{1} << 40), INT64_MAX, INT64_MIN}) {
    integers.emplace_back(number);
  }
  tree.insert("integers", integers);
  tree.insert("big", BigInt{std::string("\x05\0\0\0\0\0\0\0\0\0\x80\0", 12)});
  tree.insert("doubles", Value::List{0.0, -0.0, 0.1, 1e300, INFINITY, -INFINITY});
  tree.insert("complex", c10::complex<double>(1.5, -2));
  tree.insert("text", "plain and \u00e9\u20ac\U0001f600");
  tree.insert("bytes", Bytes{std::string("\0\x7f\x80\xff", 4)});
  tree.insert("empty", Value::List{Value::List(), Tuple(), Dict(), "", Bytes()});
  tree.insert("tuple", Tuple{{1, Tuple{{"two", 3.0}}, Value::List{4}}});
  tree.insert(int64_t{1}, "integer key");
  tree.insert(int64_t{-7}, "negative key");
  tree.insert("size", Size{{3, 4}});
  tree.insert("dtype", Value::List{torch::kFloat, torch::kBFloat16, torch::kComplexDouble});
  tree.insert("device", Value::List{c10::Device("cpu"), c10::Device("cuda:1")});
  tree.insert("grad", torch::ones({2, 3}, torch::requires_grad()));
  tree.insert("base", base);
  tree.insert("view", base.slice(0, 4, 10));
  tree.insert("transposed", base.reshape({4, 6}).t());
  tree.insert("same bytes, other dtype", base.view(torch::kInt).slice(0, 1, 3));
  tree.insert("expanded", torch::tensor({1.0, 2.0}).unsqueeze(1).expand({2, 5}));
  tree.insert("tied", Value::List{tied, tied});
  tree.insert("alone", torch::arange(100, torch::kInt).slice(0, 50, 53));
  tree.insert("permuted", torch::arange(6).reshape({2, 3}).t());
  tree.insert("scalar", torch::tensor(2.5, torch::kDouble));
  tree.insert("nothing", torch::zeros({0, 3}));
  return tree;
}

Value dtype_tensors(bool for_safetensors) {
  Dict tree;
  for (const c10::ScalarType dtype : format::plain_dtypes()) {
    const std::string name = format::dtype_name(dtype);
    if (for_safetensors && (name == "complex32" || name == "complex128")) continue;
    // safetensors for Python knows them from 0.6 on only.
    if (name == "float8_e8m0fnu" || name == "float4_e2m1fn_x2") continue;
    tree.insert(name, torch::arange(1, 7, torch::kFloat).reshape({2, 3}).to(dtype));
  }
  return tree;
}

std::string save_checkpoint(const std::string& path, const State& state, Format format) {
  CheckpointManager manager(path, CheckpointManagerOptions().format(format));
  return path + '/' + manager.save(state, {});
}

void save_losses(const Directory& directory, const std::string& name,
                 const std::vector<double>& losses) {
  const Dict tree{{"losses", Value::List(losses.begin(), losses.end())}};
  save(tree, directory.at("losses_" + name + ".pth"));
}

void write_optimizers(const Directory& directory) {
  for (const std::string& name : optimizer_names()) {
    torch::nn::Sequential model = small_model();
    const auto optimizer = make_optimizer(name, model, true);
    train(model, *optimizer, 5);
    State state;
    state.add("model", model).add("optimizer", *optimizer);
    // Python loads both: a checkpoint that was converted without the live optimizer, and a .pth
    // checkpoint as it is.
    const std::string archive =
        save_checkpoint(directory.at("run_" + name), state, Format::kArchive);
    save(with_optimizer_form(load(archive), OptimizerForm::kPython, archive),
         directory.at("optimizer_" + name + ".pth"));
    const std::string pth = save_checkpoint(directory.at("pth_" + name), state, Format::kPth);
    std::filesystem::copy_file(pth + "/checkpoint.pth",
                               directory.at("checkpoint_" + name + ".pth"));
    save_losses(directory, name, train(model, *optimizer, 10));
  }
}

// A scheduler after each number of steps from none on, and the losses that follow.
template <typename Scheduler>
void write_scheduler(const Directory& directory, const std::string& name, Scheduler& scheduler,
                     torch::nn::Sequential& model, torch::optim::Optimizer& optimizer, int steps) {
  const auto after_step = [&](double loss) { step(scheduler, loss); };
  train(model, optimizer, steps, after_step);
  State state;
  state.add("model", model).add("optimizer", optimizer).add("scheduler", scheduler);
  const std::string archive = save_checkpoint(directory.at("run_" + name), state, Format::kArchive);
  save(with_optimizer_form(load(archive), OptimizerForm::kPython, archive),
       directory.at("scheduler_" + name + ".pth"));
  save_losses(directory, name, train(model, optimizer, 10, after_step));
}

void write_schedulers(const Directory& directory) {
  for (const int steps : {0, 1, 3, 5}) {
    torch::nn::Sequential model = small_model();
    torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.1).momentum(0.5));
    torch::optim::StepLR scheduler(optimizer, 3, 0.5);
    write_scheduler(directory, "StepLR_" + std::to_string(steps), scheduler, model, optimizer,
                    steps);
#if TORCH_CHECKPOINT_HAS_PLATEAU
    torch::nn::Sequential other = small_model();
    torch::optim::SGD sgd(other->parameters(), torch::optim::SGDOptions(0.1).momentum(0.5));
    auto plateau = make_plateau(sgd);
    write_scheduler(directory, "ReduceLROnPlateau_" + std::to_string(steps), plateau, other, sgd,
                    steps);
#endif
  }
}

// A manager's checkpoint, as it lies on the disk.
void write_managed(const Directory& directory) {
  torch::nn::Sequential model = small_model();
  const auto optimizer = make_optimizer("Adam", model, true);
  train(model, *optimizer, 3);
  State state;
  state.add("model", model).add("optimizer", *optimizer);
  CheckpointManager manager(directory.at("run"), CheckpointManagerOptions().format(Format::kPth));
  manager.save(state, {});
  const std::string latest = directory.at("run/latest");
  std::filesystem::copy_file(latest + "/checkpoint.pth", directory.at("managed.pth"));
  std::ofstream(directory.at("managed.pth.txt"), std::ios::binary) << describe(load(latest));
}

// As huggingface_hub would write them; sharded.py knows its rules.
void write_sharded_models(const Directory& directory, const StateDict& weights) {
  StateDict tied = weights;
  tied.insert("tied", weights["0.weight"]);
  for (const int size : {1, 60, 100, 100000}) {
    checkpoint::save(
        tied, directory.at("sharded/" + std::to_string(size) + "/model.safetensors"),
        SaveOptions().max_shard_size(static_cast<uint64_t>(size)).metadata({{"from", "C++"}}));
    checkpoint::save(
        tied, directory.at("sharded/" + std::to_string(size) + "/pytorch_model.bin"),
        SaveOptions().max_shard_size(static_cast<uint64_t>(size)).format(Format::kPth));
  }
}

// A safetensors file has an order of its own.
std::string describe_by_name(const StateDict& weights) {
  std::map<std::string, at::Tensor> sorted;
  for (const auto& entry : weights) sorted.emplace(entry.key(), entry.value());
  Dict dict;
  for (const auto& [name, tensor] : sorted) dict.insert(name, tensor);
  return describe(dict);
}

// What sharded.py wrote: each directory has the weights of sharded.pth.
std::string check_sharded_models(const std::string& directory) {
  std::string wrong;
  const std::string expected = describe_by_name(load_weights(directory + "/sharded.pth"));
  for (const auto& entry : std::filesystem::directory_iterator(directory + "/sharded")) {
    if (describe_by_name(load_weights(entry.path())) != expected) {
      wrong += entry.path().string() + ": differs\n";
    }
    torch::nn::Sequential model = small_model();
    load_state_dict(*model, entry.path().string());
  }
  return wrong;
}

// The values that a distributed checkpoint gives back to Python as they are.
Value distributed_kinds() {
  Dict tree;
  tree.insert("none", Value());
  tree.insert("bools", Value::List{true, false});
  tree.insert("integers", Value::List{0, 255, 256, -1, int64_t{1} << 40, INT64_MAX, INT64_MIN});
  tree.insert("doubles", Value::List{0.0, -0.0, 0.1, INFINITY});
  tree.insert("text", "plain and \u00e9\u20ac\U0001f600");
  tree.insert("bytes", Bytes{std::string("\0\x7f\x80\xff", 4)});
  tree.insert("tuple", Tuple{{1, Tuple{{"two", 3.0}}, Value::List{4}}});
  tree.insert("list", Value::List{1, Value::List{2, torch::ones({2})}, Dict{{"a", 3}}, Dict()});
  tree.insert("no keys", Dict());
  tree.insert("nothing", Value::List());
  tree.insert("size", Size{{3, 4}});
  tree.insert("with.dots", Dict{{"a.b", torch::arange(3)}});
  tree.insert("view", torch::arange(10).slice(0, 2, 5));
  tree.insert("scalar", torch::tensor(2.5, torch::kDouble));
  tree.insert("zero", torch::zeros({0, 3}));
  return tree;
}

void write_distributed(const Directory& directory) {
  const SaveOptions as_dcp = SaveOptions().format(Format::kDcp);
  const auto write_one = [&](const std::string& name, const Value& tree) {
    checkpoint::save(tree, directory.at(name), as_dcp);
    std::ofstream(directory.at(name) + ".txt", std::ios::binary) << describe(tree);
  };
  write_one("dcp_kinds", distributed_kinds());
  write_one("dcp_dtypes", dtype_tensors(false));
  torch::nn::Sequential model = small_model();
  const auto optimizer = make_optimizer("Adam", model, true);
  train(model, *optimizer, 5);
  Dict tree;
  tree.insert("model", to_value(state_dict(*model)));
  tree.insert("optimizer", optimizer_state_dict(*optimizer));
  write_one("dcp_training", tree);
  Value::List losses;
  for (const double loss : train(model, *optimizer, 10)) losses.emplace_back(loss);
  save(Dict{{"losses", losses}}, directory.at("dcp_losses.pth"));
}

void write(const Directory& directory) {
  const StateDict weights = state_dict(*small_model());
  directory.write("state_dict.pth", weights, to_value(weights));
  directory.write("plain_dict.pth", to_value(weights));
  checkpoint::save(weights, directory.at("state_dict.safetensors"));
  directory.write("kinds.pth", many_kinds());
  directory.write("tensor.pth", torch::arange(6).reshape({2, 3}));
  directory.write("dtypes.pth", dtype_tensors(false));
  const Value tensors = dtype_tensors(true);
  save(tensors, directory.at("dtypes.safetensors"));
  write_optimizers(directory);
  write_schedulers(directory);
  write_managed(directory);
  write_sharded_models(directory, weights);
  write_distributed(directory);
}

int check(const std::string& directory) {
  std::string wrong;
  for (const std::string& path : described_files(directory)) wrong += check_file(path);
  for (const std::string& name : optimizer_names()) {
    wrong += check_optimizer(directory, name, tolerance_of(name));
  }
  for (const char* name : {"StepLR", "ReduceLROnPlateau"}) {
    wrong += check_scheduler(directory, name, tolerance_of(name));
  }
  wrong += check_sharded_models(directory);
  std::printf("%s", wrong.c_str());
  if (wrong.empty()) std::printf("%s: all is as Python wrote it\n", directory.c_str());
  return wrong.empty() ? 0 : 1;
}

}  // namespace
}  // namespace checkpoint

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: exchange write|check DIRECTORY\n");
    return 2;
  }
  // C++ has another seed in each process: some models come close to ReLU's kink, where a rounding
  // grows. Not trees.py's seed, since a load that does nothing must be seen.
  torch::manual_seed(2);
  try {
    if (std::string(argv[1]) == "check") return checkpoint::check(argv[2]);
    checkpoint::write(checkpoint::Directory(argv[2]));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "exchange: %s\n", error.what());
    return 1;
  }
}
