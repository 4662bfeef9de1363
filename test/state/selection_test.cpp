#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/round_trip.h"

#include "compat/torch_compat.h"

#include <torch/script.h>

using namespace checkpoint;
using test::copies_of;
using test::Net;
using test::same_bits;
using test::Saved;
using test::TemporaryDirectory;
using test::unchanged;

namespace {

using Names = std::vector<std::string>;

// Layers by the names that a version of a program gives them.
struct LayersImpl : torch::nn::Module {
  explicit LayersImpl(const Names& names) {
    for (const std::string& name : names) {
      layers.push_back(register_module(name, torch::nn::Linear(2, 2)));
    }
  }
  torch::Tensor forward(torch::Tensor x) {
    for (auto& layer : layers) x = layer(x);
    return x;
  }
  std::vector<torch::nn::Linear> layers;
};
TORCH_MODULE(Layers);

// A model, its optimizer, and whatever else carries a name in a State.
struct Run {
  explicit Run(const Names& layers)
      : model(layers),
        optimizer(model->parameters(), torch::optim::AdamOptions(0.1)),
        scheduler(optimizer, 5, 0.5),
        sampler(ResumableSampler::sequential(8)) {}

  void step() {
    optimizer.zero_grad();
    model(torch::ones({1, 2})).sum().backward();
    optimizer.step();
    scheduler.step();
    best += 1;
  }
  // Each under "net", "net_optimizer" and so on.
  State state(const std::string& name, const std::string& other = "") {
    State result;
    result.add(name, model).add(name + "_optimizer", optimizer);
    result.add(other + "scheduler", scheduler).add(other + "sampler", sampler);
    result.add(other + "best", best);
    return result;
  }
  const torch::Tensor& momentum(size_t parameter) {
    const auto& group = optimizer.param_groups()[0];
    auto& state = *optimizer.state().at(compat::state_key(group.params()[parameter]));
    return static_cast<torch::optim::AdamParamState&>(state).exp_avg();
  }

  Layers model;
  torch::optim::Adam optimizer;
  torch::optim::StepLR scheduler;
  ResumableSampler sampler;
  double best = 0;
};

// An optimizer with a save of its own, which writes a state by its place alone.
class OwnSave : public torch::optim::SGD {
 public:
  using SGD::SGD;
  void save(torch::serialize::OutputArchive& archive) const override { SGD::save(archive); }
  void load(torch::serialize::InputArchive& archive) override { SGD::load(archive); }
};

// A module whose load is its own, with a plain one inside.
struct OwnLoadImpl : torch::nn::Module {
  explicit OwnLoadImpl(const std::string& name)
      : inner(register_module(name, torch::nn::Linear(2, 2))) {}
  void save(torch::serialize::OutputArchive& archive) const override {
    Module::save(archive);
    archive.write("count", c10::IValue(count));
  }
  void load(torch::serialize::InputArchive& archive) override {
    Module::load(archive);
    c10::IValue saved;
    archive.read("count", saved);
    count = saved.toInt();
  }
  torch::nn::Linear inner;
  int64_t count = 0;
};
TORCH_MODULE(OwnLoad);

struct HolderImpl : torch::nn::Module {
  HolderImpl(const std::string& name, const std::string& inner)
      : own(register_module(name, OwnLoad(inner))) {}
  OwnLoad own;
};
TORCH_MODULE(Holder);

}  // namespace

TEST_CASE("A glob that meets no key is an error that names the nearest") {
  Run saved({"first", "second"}), live({"first", "second"});
  saved.step();
  State from = saved.state("net"), to = live.state("net");
  const Saved file(from);
  const auto before = copies_of(*live.model);
  const auto refused = [&](const RestoreOptions& options) {
    const std::string error = error_of([&] { file.restore(to, options); });
    CHECK(unchanged(*live.model, before));
    CHECK(live.best == 0);
    CHECK(contains(error, "invalid_argument: "));
    CHECK(contains(error, file.archive()));
    return error;
  };
  CHECK(contains(
      refused(RestoreOptions().include({"nte.first.*"})),
      "RestoreOptions::include: 'nte.first.*' matches no live or saved key; the nearest are "
      "'net.first.bias' and 'net.first.weight'"));
  CHECK(contains(refused(RestoreOptions().exclude({"net.*", "bset"})), "the nearest is 'best'"));
  CHECK(contains(refused(RestoreOptions().exclude({"nothing of the kind"})), "there are 'best', "));
  // Strict::kNo accepts what does not fit, but not a typing error.
  refused(RestoreOptions().exclude({"net.fist.*"}).strict(Strict::kNo));

  SECTION("what would have met one is said") {
    CHECK(contains(refused(RestoreOptions().include({"net"})), "Write 'net.*' for all"));
    CHECK(contains(refused(RestoreOptions().exclude({"net.first"})), "Write 'net.first.*'"));
    CHECK(contains(refused(RestoreOptions().exclude({"net_optimizer.state.*"})),
                   "Write 'net_optimizer': it is restored as a whole"));
    CHECK(contains(refused(RestoreOptions().items({"nte"})),
                   "RestoreOptions::items names 'nte', which is not in the State; the nearest is "
                   "'net'"));
  }
  SECTION("options that choose nothing together") {
    CHECK(contains(refused(RestoreOptions().exclude({"*"})), "together choose no live key"));
    refused(RestoreOptions().include({"net.*"}).exclude({"net*"}));
    refused(RestoreOptions().items({"net"}).include({"best"}));
  }
  SECTION("classes and escapes choose") {
    file.restore(to, RestoreOptions().include({"net.[f]*.weigh[!s]"}));
    CHECK(same_bits(live.model->layers[0]->weight, saved.model->layers[0]->weight));
    CHECK_FALSE(same_bits(live.model->layers[1]->weight, saved.model->layers[1]->weight));
    CHECK(live.best == 0);
    CHECK(contains(error_of([&] { file.restore(to, RestoreOptions().include({"net\\*"})); }),
                   "matches no live or saved key"));
  }
  SECTION("an item that is not chosen anyway is met, and so is the generators'") {
    CHECK(
        file.restore(to, RestoreOptions().items({"best"}).exclude({"net.*", "rng"})).report.fits());
    CHECK(live.best == 1);
  }
}

TEST_CASE("Globs meet what is live alone, and what the file alone has") {
  Layers saved(Names{"first", "old"}), live(Names{"first", "new_"});
  State from, to;
  from.add("net", saved);
  to.add("net", live);
  Layers head(Names{"x"});
  to.add("head", head);
  const Saved file(from);
  CHECK(file.restore(to, RestoreOptions().exclude({"net.old.*", "net.new_.*", "head.*"}))
            .report.fits());
  CHECK(same_bits(live->layers[0]->weight, saved->layers[0]->weight));
}

TEST_CASE("Generators that are asked for by name, and were not saved, are missing") {
  double number = 1;
  State from;
  from.add("number", number).rng(false);
  const Saved file(from);
  State to;
  to.add("number", number);
  CHECK(file.restore(to).report.fits());
  CHECK(contains(error_of([&] { file.restore(to, RestoreOptions().items({"rng"})); }),
                 "live, but not saved:\n    rng\n  saved items:\n    'number'"));
}

TEST_CASE("A rename that meets no key is an error that names the nearest") {
  Layers saved(Names{"first", "old"}), live(Names{"first", "new_"});
  State from, to;
  from.add("net", saved);
  to.add("net", live);
  const Saved file(from);
  const auto before = copies_of(*live);
  const auto refused = [&](const RestoreOptions& options) {
    const std::string error = error_of([&] { file.restore(to, options); });
    CHECK(unchanged(*live, before));
    CHECK(contains(error, "invalid_argument: "));
    return error;
  };
  for (const Strict strict : {Strict::kYes, Strict::kNo}) {
    CHECK(contains(
        refused(RestoreOptions().rename("net.odl.", "net.new_.").strict(strict)),
        "RestoreOptions::rename('net.odl.', 'net.new_.') matches no saved key; the nearest are "
        "'net.old.bias' and 'net.old.weight'"));
  }
  refused(RestoreOptions().rename("net.old.", "net.new_.").rename("nothing.", "x."));
  CHECK(contains(refused(RestoreOptions().rename("net.", "net.").rename("net.old.", "net.new_.")),
                 "is never used: an earlier rename takes every key that it matches"));
  refused(RestoreOptions().rename([](const std::string& key) { return key; }));

  SECTION("one that has been done may stay: the same command goes on after a restart") {
    const RestoreOptions options = RestoreOptions().rename("net.old.", "net.new_.");
    file.restore(to, options);
    CHECK(same_bits(live->layers[1]->weight, saved->layers[1]->weight));
    const Saved later(to);
    CHECK(later.restore(to, options).report.fits());
    CHECK(later
              .restore(to, RestoreOptions().rename([](const std::string& key) {
                return key.rfind("net.old.", 0) == 0 ? "net.new_." + key.substr(8) : key;
              }))
              .report.fits());
    // But a rename to a name that does not exist is refused.
    CHECK(contains(error_of([&] { later.restore(to, RestoreOptions().rename("ned.", "met.")); }),
                   "the nearest are 'net.first.bias'"));
  }
}

TEST_CASE("load_state_dict refuses what selects nothing too") {
  Layers from(Names{"first"}), to(Names{"first"});
  const StateDict dict = state_dict(*from);
  const auto before = copies_of(*to);
  const TemporaryDirectory root;
  checkpoint::save(dict, root / "a.pth");
  for (const RestoreOptions& options :
       {RestoreOptions().include({"frist.*"}), RestoreOptions().exclude({"frist.*"}),
        RestoreOptions().rename("modul.", ""), RestoreOptions().exclude({"*"}),
        RestoreOptions().items({"first"})}) {
    CHECK(contains(error_of([&] { load_state_dict(*to, dict, options); }), "invalid_argument: "));
    CHECK(contains(error_of([&] { load_state_dict(*to, root / "a.pth", options); }), "a.pth"));
  }
  CHECK(contains(error_of([&] { load_state_dict(*to, root / "a.pth", {}, "modle"); }),
                 "the file has no item 'modle'; there are 'first.weight' and 'first.bias'"));
  CHECK(unchanged(*to, before));
}

TEST_CASE("A damaged checkpoint is passed over before its names are compared") {
  const TemporaryDirectory root;
  Layers saved(Names{"old"}), live(Names{"new_"});
  State from, to;
  from.add("net", saved);
  to.add("net", live);
  {
    CheckpointManager manager(root.path());
    manager.save(from, {1, 1});
    test::flip_bit(root.path() + "/" + manager.save(from, {2, 2}) + "/checkpoint.pt", 900);
  }
  CheckpointManager manager(root.path());
  // After a typing error, no older checkpoint is restored, and none is set aside.
  CHECK(contains(error_of([&] {
                   manager.restore_latest(to, RestoreOptions().rename("net.odl.", "net.new_."));
                 }),
                 "invalid_argument: "));
  CHECK(manager.list().size() == 1);
  const auto restored =
      manager.restore_latest(to, RestoreOptions().rename("net.old.", "net.new_."));
  REQUIRE(restored);
  CHECK(restored->progress().epoch == 1);
  CHECK(same_bits(live->layers[0]->weight, saved->layers[0]->weight));
}

TEST_CASE("rename reaches the names that an optimizer's state goes by") {
  Run saved({"first", "old"}), live({"first", "new_"});
  saved.step();
  State from = saved.state("net"), to = live.state("net");
  const Saved file(from);
  CHECK(file.restore(to, RestoreOptions().rename("net.old.", "net.new_.")).report.fits());
  CHECK(same_bits(live.momentum(2), saved.momentum(2)));
  live.step();
  saved.step();
  CHECK(same_bits(live.model->layers[1]->weight, saved.model->layers[1]->weight));

  SECTION("what does not fit has the new names") {
    Run other({"first", "third"});
    State wrong = other.state("net");
    const std::string error =
        error_of([&] { file.restore(wrong, RestoreOptions().rename("net.old.", "net.new_.")); });
    CHECK(contains(error, "net_optimizer.param_groups.0.net.third.weight"));
    CHECK(contains(error, "net_optimizer.param_groups.0.net.new_.weight"));
  }
}

TEST_CASE("rename reaches optimizers that save themselves, and those with one flat state") {
  Layers saved(Names{"old"}), live(Names{"new_"});
  const auto options = RestoreOptions().rename("net.old.", "net.new_.");
  SECTION("its own save") {
    OwnSave a(saved->parameters(), torch::optim::SGDOptions(0.25));
    OwnSave b(live->parameters(), torch::optim::SGDOptions(0.5));
    State from, to;
    from.add("net", saved).add("optimizer", a);
    to.add("net", live).add("optimizer", b);
    CHECK(Saved(from).restore(to, options).report.fits());
    CHECK(b.param_groups()[0].options().get_lr() == 0.25);
  }
  SECTION("LBFGS") {
    torch::optim::LBFGS a(saved->parameters(), 0.25), b(live->parameters(), 0.5);
    State from, to;
    from.add("net", saved).add("optimizer", a);
    to.add("net", live).add("optimizer", b);
    CHECK(Saved(from).restore(to, options).report.fits());
    CHECK(b.param_groups()[0].options().get_lr() == 0.25);
  }
}

TEST_CASE("rename reaches the names of items, whatever they are") {
  Run saved({"first", "second"}), live({"first", "second"});
  saved.step();
  State from = saved.state("model", "old_"), to = live.state("net", "new_");
  const Saved file(from);
  RestoreOptions options;
  SECTION("by prefixes") {
    // "model_optimizer" too: it begins with "model".
    options.rename("model", "net").rename("old_", "new_");
  }
  SECTION("by prefixes of keys") {
    options.rename("model.", "net.")
        .rename("model_optimizer.", "net_optimizer.")
        .rename("old_", "new_");
  }
  SECTION("by a function") {
    options.rename([](const std::string& key) {
      if (key.rfind("model", 0) == 0) return "net" + key.substr(5);
      return key.rfind("old_", 0) == 0 ? "new_" + key.substr(4) : key;
    });
  }
  SECTION("by a function of items' names alone") {
    options.rename([](const std::string& key) -> std::string {
      if (key == "model") return "net";
      if (key == "model_optimizer") return "net_optimizer";
      return key.rfind("old_", 0) == 0 ? "new_" + key.substr(4) : key;
    });
  }
  const Restored restored = file.restore(to, options);
  CHECK(restored.report.fits());
  CHECK(restored.report.ignored_items.empty());
  CHECK(same_bits(*live.model, *saved.model));
  CHECK(same_bits(live.momentum(3), saved.momentum(3)));
  CHECK(live.best == 1);
  live.step();
  saved.step();
  CHECK(same_bits(*live.model, *saved.model));
}

TEST_CASE("An item that nothing is renamed to keeps its own name") {
  Run saved({"old"}), live({"new_"});
  saved.step();
  State from = saved.state("net"), to = live.state("net");
  // A function that was written for modules' keys alone.
  CHECK(Saved(from)
            .restore(to, RestoreOptions().rename([](const std::string& key) {
              const size_t at = key.find("old");
              return at == std::string::npos ? key + "!" : "net.new_" + key.substr(at + 3);
            }))
            .report.fits());
  CHECK(live.best == 1);
  CHECK(same_bits(*live.model->layers[0], *saved.model->layers[0]));
}

TEST_CASE("rename moves a part of one module into another, and says what has no place") {
  Layers saved(Names{"encoder", "head"}), encoder(Names{"first"}), head(Names{"last"});
  State from, to;
  from.add("model", saved);
  to.add("encoder", encoder).add("head", head);
  const Saved file(from);
  const auto options = RestoreOptions()
                           .rename("model.encoder.", "encoder.first.")
                           .rename("model.head.", "head.last.");
  const Restored restored = file.restore(to, options);
  CHECK(restored.report.fits());
  CHECK(restored.report.ignored_items.empty());
  CHECK(same_bits(encoder->layers[0]->weight, saved->layers[0]->weight));
  CHECK(same_bits(head->layers[0]->bias, saved->layers[1]->bias));

  SECTION("out of an item that stays") {
    Layers model(Names{"encoder"}), apart(Names{"head"});
    State other;
    other.add("model", model).add("apart", apart);
    CHECK(file.restore(other, RestoreOptions().rename("model.head.", "apart.head.")).report.fits());
    CHECK(same_bits(apart->layers[0]->weight, saved->layers[1]->weight));
    CHECK(contains(error_of([&] {
                     file.restore(other, RestoreOptions().rename("model.head.", "elsewhere.head."));
                   }),
                   "    elsewhere.head.bias"));
    double number = 0;
    other.add("number", number);
    CHECK(contains(error_of([&] {
                     file.restore(
                         other,
                         RestoreOptions().rename("model.head.", "number.").exclude({"number"}));
                   }),
                   "    number.bias"));
  }
  SECTION("two that become one") {
    double a = 1, b = 2, c = 0;
    State two, one;
    two.add("a", a).add("b", b);
    one.add("c", c);
    CHECK(contains(error_of([&] {
                     Saved(two).restore(one, RestoreOptions().rename("a", "c").rename("b", "c"));
                   }),
                   "c: 'a' and 'b' are both renamed to it"));
    CHECK(c == 0);
    // Two items may swap their names.
    State swapped;
    swapped.add("a", a).add("b", b);
    Saved file_of_two(two);
    file_of_two.restore(swapped, RestoreOptions().rename("a", "b").rename("b", "a"));
    CHECK(a == 2);
    CHECK(b == 1);
  }
}

TEST_CASE("rename reaches training flags, and modules that load themselves") {
  Holder saved("old", "inner"), live("new_", "inner"), deep("old", "other");
  saved->own->count = 7;
  saved->own->eval();
  State from, to;
  from.add("net", saved);
  to.add("net", live);
  const Saved file(from);
  file.restore(to, RestoreOptions().rename("net.old.", "net.new_.").restore_modes(true));
  CHECK(live->own->count == 7);
  CHECK(same_bits(live->own->inner->weight, saved->own->inner->weight));
  CHECK_FALSE(live->own->is_training());
  CHECK(live->is_training());
  // What its own save wrote is renamed too.
  State below;
  below.add("net", deep);
  file.restore(below, RestoreOptions().rename("net.old.inner.", "net.old.other."));
  CHECK(deep->own->count == 7);
  CHECK(same_bits(deep->own->inner->weight, saved->own->inner->weight));
  // It is chosen whole.
  CHECK(contains(
      error_of([&] { file.restore(below, RestoreOptions().include({"net.old.inner.*"})); }),
      "Write 'net.old': it is restored as a whole"));
}

TEST_CASE("Attributes of TorchScript are chosen and renamed by their keys") {
  const auto make = [](const std::string& name, int64_t count) {
    torch::jit::Module inner("Inner");
    inner.register_parameter("weight", torch::full({2}, static_cast<double>(count)), false);
    torch::jit::Module module("M");
    module.register_module(name, inner);
    module.register_attribute("count", c10::IntType::get(), count);
    return module;
  };
  torch::jit::Module saved = make("old", 1), live = make("new_", 2), same = make("old", 3);
  State from, to, kept;
  from.add("script", saved);
  to.add("net", live);
  kept.add("script", same);
  const Saved file(from);
  file.restore(to, RestoreOptions().rename("script.old.", "net.new_.").rename("script", "net"));
  CHECK(live.attr("count").toInt() == 1);
  CHECK(live.attr("new_").toModule().attr("weight").toTensor().equal(torch::ones({2})));
  file.restore(kept, RestoreOptions().include({"script.old.*"}));
  CHECK(same.attr("count").toInt() == 3);
  CHECK(same.attr("old").toModule().attr("weight").toTensor().equal(torch::ones({2})));
  CHECK(contains(error_of([&] { file.restore(kept, RestoreOptions().include({"script"})); }),
                 "Write 'script.*'"));
}

TEST_CASE("A missing item names the items that are there; no near name is offered twice") {
  double number = 0;
  Layers model(Names{"a"});
  State from, to;
  from.add("model", model).add("number", number);
  to.add("modle", model).add("other", number);
  const std::string error = error_of([&] { Saved(from).restore(to); });
  CHECK(contains(error,
                 "  live, but not saved:\n    modle   (saved: model)\n    other\n"
                 "  saved items:\n    'model', 'number' and 'rng'\n"));
  RestoreReport report;
  report.missing = {"model.fc1.weight", "model.fc2.weight", "model.fc3.weight"};
  report.unexpected = {"model.fc2_.weight"};
  CHECK(report.to_string() ==
        "  live, but not saved:\n    model.fc1.weight\n"
        "    model.fc2.weight   (saved: model.fc2_.weight)\n    model.fc3.weight\n"
        "  saved, but not live:\n    model.fc2_.weight");
}
