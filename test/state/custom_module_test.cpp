#include "state/items/custom_methods.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/round_trip.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

using namespace checkpoint;
using state::has_custom_save_or_load;
using test::copies_of;
using test::same_bits;
using test::Saved;
using test::unchanged;
using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

namespace {

// Keeps more than parameters and buffers: a count, and the mean of what it has seen.
struct CountingImpl : torch::nn::Module {
  CountingImpl()
      : linear(register_module("linear", torch::nn::Linear(3, 2))),
        scale(register_buffer("scale", torch::ones({2}))) {}

  void save(OutputArchive& archive) const override {
    Module::save(archive);
    archive.write("count", c10::IValue(count));
    archive.write("mean", mean, /*is_buffer=*/true);
  }
  void load(InputArchive& archive) override {
    Module::load(archive);
    c10::IValue value;
    archive.read("count", value);
    count = value.toInt();
    if (throws_after_load) throw std::runtime_error("I do not like this archive");
    archive.read("mean", mean, /*is_buffer=*/true);
  }

  torch::nn::Linear linear;
  torch::Tensor scale;
  torch::Tensor mean = torch::zeros({4});
  int64_t count = 0;
  bool throws_after_load = false;
};
TORCH_MODULE(Counting);

// A plain module with an overriding one inside of it.
struct OuterImpl : torch::nn::Module {
  OuterImpl()
      : before(register_module("before", torch::nn::Linear(2, 3))),
        counting(register_module("counting", Counting())),
        after(register_module("after", torch::nn::BatchNorm1d(2))) {}
  torch::nn::Linear before;
  Counting counting;
  torch::nn::BatchNorm1d after;
};
TORCH_MODULE(Outer);

void fill(OuterImpl& outer, int64_t seed) {
  torch::manual_seed(static_cast<uint64_t>(seed));
  const torch::NoGradGuard no_grad;
  for (torch::Tensor& parameter : outer.parameters()) parameter.normal_();
  outer.counting->scale.normal_();
  outer.counting->mean = torch::randn({4});
  outer.counting->count = seed;
}

// Writes its parameters under names of its own, and nothing else.
struct RenamingImpl : torch::nn::Module {
  RenamingImpl() : weight(register_parameter("weight", torch::randn({2, 3}))) {}
  void save(OutputArchive& archive) const override { archive.write("gewicht", weight); }
  void load(InputArchive& archive) override { archive.read("gewicht", weight); }
  torch::Tensor weight;
};

// Registers modules with its parent at its first save.
struct GrowingImpl : torch::nn::Module {
  explicit GrowingImpl(torch::nn::Module& owner) : parent(owner) {
    register_parameter("weight", torch::ones({2}));
  }
  void save(OutputArchive& archive) const override {
    Module::save(archive);
    for (int i = 0; i < 100 && !has_saved; ++i) {
      parent.register_module("late" + std::to_string(i), torch::nn::Linear(1, 1));
    }
    has_saved = true;
  }
  torch::nn::Module& parent;
  mutable bool has_saved = false;
};

struct OnlySaves : torch::nn::Module {
  void save(OutputArchive& archive) const override { Module::save(archive); }
};
struct OnlyLoads : torch::nn::Module {
  void load(InputArchive& archive) override { Module::load(archive); }
};
struct Overrides : torch::nn::Module {
  void train(bool on) override { Module::train(on); }
  bool is_serializable() const override { return true; }
};
struct FirstBase {
  virtual ~FirstBase() = default;
  int64_t number = 1;
};
struct SecondPlain : FirstBase, torch::nn::Module {};
struct SecondSaves : FirstBase, torch::nn::Module {
  void save(OutputArchive& archive) const override { Module::save(archive); }
};
struct Cloned : torch::nn::Cloneable<Cloned> {
  void reset() override {}
};
struct ClonedLoads : torch::nn::Cloneable<ClonedLoads> {
  void reset() override {}
  void load(InputArchive& archive) override { Module::load(archive); }
};
struct Further : OnlySaves {};

}  // namespace

TEST_CASE("An override of save or load is seen, wherever it stands, and nothing else is") {
  CHECK(has_custom_save_or_load(CountingImpl()));
  CHECK(has_custom_save_or_load(OnlySaves()));
  CHECK(has_custom_save_or_load(OnlyLoads()));
  CHECK(has_custom_save_or_load(SecondSaves()));
  CHECK(has_custom_save_or_load(ClonedLoads()));
  CHECK(has_custom_save_or_load(Further()));

  CHECK_FALSE(has_custom_save_or_load(torch::nn::Module("plain")));
  CHECK_FALSE(has_custom_save_or_load(OuterImpl()));
  CHECK_FALSE(has_custom_save_or_load(Overrides()));
  CHECK_FALSE(has_custom_save_or_load(SecondPlain()));
  CHECK_FALSE(has_custom_save_or_load(Cloned()));
}

TEST_CASE("LibTorch's own modules are not mistaken for overriding ones") {
  using namespace torch::nn;
  Sequential all(Linear(2, 2), Bilinear(2, 2, 2), Conv1d(1, 1, 1), Conv2d(1, 1, 1), Conv3d(1, 1, 1),
                 ConvTranspose2d(1, 1, 1), BatchNorm1d(2), BatchNorm2d(2), InstanceNorm2d(2),
                 LayerNorm(LayerNormOptions({2})), GroupNorm(1, 2), Embedding(2, 2),
                 EmbeddingBag(2, 2), Dropout(0.5), ReLU(), PReLU(), Softmax(1), MaxPool2d(2),
                 AdaptiveAvgPool2d(2), Flatten(), Unfold(2), Upsample(UpsampleOptions()),
                 ZeroPad2d(1), Functional(torch::relu), CrossEntropyLoss());
  for (const auto& module : all->modules()) {
    INFO(module->name());
    CHECK_FALSE(has_custom_save_or_load(*module));
  }
  const std::vector<std::shared_ptr<torch::nn::Module>> more = {
      LSTM(2, 2).ptr(),
      GRU(2, 2).ptr(),
      RNN(2, 2).ptr(),
      LSTMCell(2, 2).ptr(),
      MultiheadAttention(2, 1).ptr(),
      TransformerEncoderLayer(2, 1).ptr(),
      Transformer(TransformerOptions(2, 1)).ptr(),
      ModuleList(Linear(1, 1)).ptr(),
      ModuleDict().ptr(),
      ParameterList().ptr(),
      ParameterDict().ptr(),
      AdaptiveLogSoftmaxWithLoss(64, 10, std::vector<int64_t>({4, 8})).ptr()};
  for (const auto& module : more) {
    for (const auto& each : module->modules()) {
      INFO(each->name());
      CHECK_FALSE(has_custom_save_or_load(*each));
    }
  }
}

TEST_CASE("What a module's own save adds comes back, inside a plain module") {
  Outer saved;
  fill(*saved, 7);
  State from;
  from.add("model", saved);
  const Saved file(from);

  Outer live;
  fill(*live, 8);
  const torch::Tensor weight = live->counting->linear->weight;
  const torch::Tensor row = live->counting->scale.slice(0, 0, 1);
  void* const memory = weight.data_ptr();
  live->counting->linear->bias.requires_grad_(false);
  State to;
  to.add("model", live);
  CHECK(file.restore(to).report.fits());

  CHECK(same_bits(*saved, *live));
  CHECK(live->counting->count == 7);
  CHECK(same_bits(live->counting->mean, saved->counting->mean));
  // The same tensors in the same memory, which LibTorch's own load exchanges.
  CHECK(live->counting->linear->weight.is_same(weight));
  CHECK(weight.data_ptr() == memory);
  CHECK(same_bits(row, saved->counting->scale.slice(0, 0, 1)));
  CHECK(weight.requires_grad());
  CHECK_FALSE(live->counting->linear->bias.requires_grad());
}

TEST_CASE("A module's own save may register modules with its parent, for the next save") {
  const auto outer = std::make_shared<torch::nn::Module>("outer");
  outer->register_module("growing", std::make_shared<GrowingImpl>(*outer));
  outer->register_module("after", torch::nn::Linear(2, 3));
  State state;
  state.add("outer", outer);
  const auto names = [&] {
    std::vector<std::string> result;
    const Saved saved(state);
    const Value tree = load(saved.path());
    for (const auto& entry : tree.dict().at("outer").dict()) {
      result.push_back(std::get<std::string>(entry.first));
    }
    return result;
  };
  CHECK(names() == std::vector<std::string>{"growing", "after"});
  CHECK(names().size() == 102);
}

TEST_CASE("Plain LibTorch reads what an overriding module has saved") {
  Outer saved;
  fill(*saved, 7);
  State from;
  from.add("model", saved);
  const Saved file(from);

  InputArchive archive, nested;
  archive.load_from(file.archive());
  archive.read("model", nested);
  Outer live;
  live->load(nested);
  CHECK(same_bits(*saved, *live));
  CHECK(live->counting->count == 7);
}

TEST_CASE("A load that throws leaves everything as it was") {
  Outer saved;
  fill(*saved, 7);
  Outer other;
  fill(*other, 9);
  double number = 7.5;
  State from;
  from.add("model", saved).add("other", other).add("number", number);
  const Saved file(from);

  Outer live;
  fill(*live, 8);
  Outer sound;
  fill(*sound, 10);
  live->counting->throws_after_load = true;
  number = 1.5;
  State to;
  to.add("other", sound).add("model", live).add("number", number);
  const auto before = copies_of(*live);
  const auto sound_before = copies_of(*sound);
  const torch::Tensor mean = sound->counting->mean.clone();
  void* const memory = live->counting->linear->weight.data_ptr();
  const torch::Tensor rng = at::detail::getDefaultCPUGenerator().get_state();

  const std::string error = error_of([&] { file.restore(to); });
  CHECK(contains(error, "incompatible: "));
  CHECK(contains(error, "'model.counting'"));
  CHECK(contains(error, "I do not like this archive"));
  CHECK(unchanged(*live, before));
  CHECK(live->counting->linear->weight.data_ptr() == memory);
  // And the other one, whose own load had gone through before, is undone.
  CHECK(unchanged(*sound, sound_before));
  CHECK(sound->counting->count == 10);
  CHECK(same_bits(sound->counting->mean, mean));
  CHECK(number == 1.5);
  CHECK(same_bits(at::detail::getDefaultCPUGenerator().get_state(), rng));
}

TEST_CASE("An overriding module is compared before its load is called") {
  Counting saved;
  State from;
  from.add("model", saved);
  const Saved file(from);

  Counting live;
  live->linear->bias = live->linear->register_parameter("other", torch::zeros({2}));
  live->scale = live->register_buffer("more", torch::zeros({1}));
  live->linear->weight.set_data(torch::zeros({2, 5}));
  const auto before = copies_of(*live);
  State to;
  to.add("model", live);
  const std::string error = error_of([&] { file.restore(to); });
  CHECK(contains(error, "nothing was changed"));
  CHECK(contains(error, "model.linear.weight: shape [2, 5] here, [2, 3] saved"));
  CHECK(contains(error, "model.linear.other"));
  CHECK(contains(error, "model.more"));
  CHECK(unchanged(*live, before));
}

TEST_CASE("A module that saves under other names is compared where its save puts them") {
  RenamingImpl saved;
  State from;
  from.add("model", saved);
  const Saved file(from);
  RenamingImpl live;
  State to;
  to.add("model", live);
  CHECK(file.restore(to).report.fits());
  CHECK(same_bits(saved, live));

  live.weight.set_data(torch::zeros({3, 3}));
  CHECK(contains(error_of([&] { file.restore(to); }),
                 "model.gewicht: shape [3, 3] here, [2, 3] saved"));
}

TEST_CASE("Tensors that share memory before an overriding load share it after") {
  struct TwoViews : torch::nn::Module {
    TwoViews() {
      register_buffer("first", base.slice(0, 0, 2));
      register_buffer("second", base.slice(0, 2, 4));
    }
    void load(InputArchive& archive) override { Module::load(archive); }
    torch::Tensor base = torch::randn({4, 2});
  };
  TwoViews saved;
  State from;
  from.add("model", saved);
  const Saved file(from);
  TwoViews live;
  State to;
  to.add("model", live);
  file.restore(to);
  CHECK(same_bits(live.base, saved.base));
}
