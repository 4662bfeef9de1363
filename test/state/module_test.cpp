#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/new_dtypes.h"
#include "support/round_trip.h"

#include "format/tree/dtype.h"

#include <cstring>
#include <filesystem>

using namespace checkpoint;
using test::copies_of;
using test::Net;
using test::same_bits;
using test::Saved;
using test::unchanged;

namespace {

// One tensor of any dtype and shape, as a buffer.
struct HolderImpl : torch::nn::Module {
  explicit HolderImpl(const torch::Tensor& tensor, const std::string& name = "x")
      : x(register_buffer(name, tensor)) {}
  torch::Tensor x;
};
TORCH_MODULE(Holder);

struct TiedImpl : torch::nn::Module {
  TiedImpl()
      : a(register_module("a", torch::nn::Linear(3, 3))),
        b(register_module("b", torch::nn::Linear(3, 3))) {
    b->weight = b->register_parameter("weight_too", a->weight);
  }
  torch::nn::Linear a, b;
};
TORCH_MODULE(Tied);

torch::Tensor round_trip(const torch::Tensor& tensor) {
  Holder saved(tensor);
  State from;
  from.add("holder", saved).rng(false);
  const Saved file(from);
  Holder live(torch::empty_like(tensor.resolve_conj().resolve_neg()));
  // Zeros, for fp8 too; an empty tensor has no memory to write.
  if (live->x.numel() > 0) std::memset(live->x.data_ptr(), 0, live->x.storage().nbytes());
  State to;
  to.add("holder", live).rng(false);
  file.restore(to);
  return live->x;
}

}  // namespace

TEST_CASE("A module comes back bit for bit, in place") {
  torch::manual_seed(1);
  Net saved;
  torch::optim::SGD optimizer(saved->parameters(), 0.1);
  test::train(saved, optimizer, 3);
  State from;
  from.add("model", saved);
  const Saved file(from);

  torch::manual_seed(2);
  Net live;
  const torch::Tensor weight = live->first->weight;
  void* const memory = weight.data_ptr();
  live->second->bias.requires_grad_(false);
  REQUIRE_FALSE(same_bits(*saved, *live));
  State to;
  to.add("model", live);
  const Restored restored = file.restore(to);

  CHECK(same_bits(*saved, *live));
  CHECK(restored.report.fits());
  CHECK(live->first->weight.is_same(weight));
  CHECK(weight.data_ptr() == memory);
  CHECK(weight.requires_grad());
  CHECK_FALSE(live->second->bias.requires_grad());
}

TEST_CASE("Modules in all their usual holders") {
  Net holder;
  auto pointer = std::make_shared<test::NetImpl>();
  test::NetImpl plain;
  torch::nn::Sequential sequential(torch::nn::Linear(2, 2), torch::nn::ReLU(),
                                   torch::nn::Functional(torch::relu), torch::nn::Linear(2, 1));
  std::shared_ptr<torch::nn::Module> base = std::make_shared<test::NetImpl>();
  State state;
  state.add("holder", holder)
      .add("pointer", pointer)
      .add("plain", plain)
      .add("sequential", sequential)
      .add("base", base)
      .add("temporary", torch::nn::Linear(1, 1));
  const Saved file(state);
  const auto before = copies_of(*sequential);
  {
    const torch::NoGradGuard no_grad;
    for (torch::nn::Module* module : {static_cast<torch::nn::Module*>(holder.get()),
                                      static_cast<torch::nn::Module*>(pointer.get()),
                                      static_cast<torch::nn::Module*>(&plain), base.get()}) {
      for (torch::Tensor& parameter : module->parameters()) parameter.zero_();
    }
    for (torch::Tensor& parameter : sequential->parameters()) parameter.zero_();
  }
  file.restore(state);
  CHECK(unchanged(*sequential, before));
  CHECK(holder->first->weight.abs().sum().item<float>() > 0);
  CHECK(plain.first->weight.abs().sum().item<float>() > 0);
  CHECK(base->parameters()[0].abs().sum().item<float>() > 0);
}

TEST_CASE("Every dtype comes back bit for bit") {
  std::vector<c10::ScalarType> dtypes = {
      torch::kUInt8,        torch::kInt8,    torch::kInt16,       torch::kInt32,
      torch::kInt64,        torch::kFloat16, torch::kFloat32,     torch::kFloat64,
      torch::kBFloat16,     torch::kBool,    torch::kComplexHalf, torch::kComplexFloat,
      torch::kComplexDouble};
  for (const c10::ScalarType dtype : test::new_dtypes()) dtypes.push_back(dtype);
  for (const c10::ScalarType dtype : dtypes) {
    INFO(dtype);
    // Each byte from 0 on; that is a bool too, if it is 0 or 1.
    const auto bytes = 24 * static_cast<int64_t>(c10::elementSize(dtype));
    const torch::Tensor bits = torch::arange(bytes) % (dtype == torch::kBool ? 2 : 256);
    const torch::Tensor tensor = bits.to(torch::kUInt8).view(dtype).reshape({2, 3, 4});
    CHECK(same_bits(round_trip(tensor), tensor));
  }
}

TEST_CASE("Each dtype of this LibTorch comes back, or is refused at save by its name") {
  int saved = 0;
  for (int i = 0; i < static_cast<int>(c10::ScalarType::NumOptions); ++i) {
    const auto dtype = static_cast<c10::ScalarType>(i);
    if (dtype == c10::ScalarType::Undefined) continue;
    INFO(c10::toString(dtype));
    torch::Tensor tensor;
    try {
      tensor = torch::empty({6}, dtype);
    } catch (const c10::Error&) {
      continue;  // LibTorch itself cannot make one.
    }
    std::memset(tensor.data_ptr(), 1, tensor.storage().nbytes());
    torch::Tensor back;
    const std::string error = error_of([&] { back = round_trip(tensor); });
    if (error.empty()) {
      CHECK(same_bits(back, tensor));
      ++saved;
    } else {
      CHECK(contains(error, "unsupported: the tensor 'holder.x' cannot be saved"));
    }
  }
  const int pairs = format::find_dtype("float4_e2m1fn_x2") ? 1 : 0;
  CHECK(saved == 13 + static_cast<int>(test::new_dtypes().size()) + pairs);
}

TEST_CASE("Shapes and values at the edges come back") {
  CHECK(same_bits(round_trip(torch::zeros({0})), torch::zeros({0})));
  CHECK(same_bits(round_trip(torch::zeros({2, 0, 3})), torch::zeros({2, 0, 3})));
  CHECK(same_bits(round_trip(torch::tensor(4.5)), torch::tensor(4.5)));
  const torch::Tensor odd = torch::tensor({NAN, INFINITY, -INFINITY, -0.0F});
  CHECK(same_bits(round_trip(odd), odd));
}

TEST_CASE("Strides are the live tensor's own affair") {
  const torch::Tensor values = torch::randn({2, 3, 4, 5});
  const torch::Tensor channels_last = values.contiguous(torch::MemoryFormat::ChannelsLast);
  CHECK(same_bits(round_trip(channels_last), values));
  CHECK(round_trip(channels_last).strides() == channels_last.strides());
  CHECK(same_bits(round_trip(values.transpose(1, 3)), values.transpose(1, 3)));
  CHECK(same_bits(round_trip(torch::randn({4}).expand({3, 4})), torch::Tensor()) == false);

  Holder saved(channels_last);
  State from;
  from.add("holder", saved);
  const Saved file(from);
  Holder live(torch::zeros({2, 3, 4, 5}));
  const auto strides = live->x.strides().vec();
  State to;
  to.add("holder", live);
  file.restore(to);
  CHECK(same_bits(live->x, values));
  CHECK(live->x.strides() == c10::IntArrayRef(strides));
}

TEST_CASE("A small view writes its own elements only, and a live view is written through") {
  const torch::Tensor large = torch::randn({1000, 1000});
  Holder saved(large.slice(0, 3, 5).slice(1, 10, 12));
  State from;
  from.add("holder", saved).rng(false);
  const Saved file(from);
  CHECK(std::filesystem::file_size(file.archive()) < 20000);

  torch::Tensor base = torch::zeros({4, 4});
  Holder live(base.slice(0, 1, 3).slice(1, 1, 3));
  State to;
  to.add("holder", live).rng(false);
  file.restore(to);
  CHECK(same_bits(base.slice(0, 1, 3).slice(1, 1, 3), saved->x));
  CHECK(base.abs().gt(0).sum().item<int64_t>() == 4);
}

TEST_CASE("An expanded tensor, which nobody can write into, gets memory of its own") {
  const auto format = GENERATE(Format::kArchive, Format::kPth);
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), CheckpointManagerOptions().format(format));
  Holder saved(torch::full({1}, 3.0f).expand({5}));
  State from;
  from.add("holder", saved).rng(false);
  const std::string name = manager.save(from, {});

  Holder live(torch::zeros({1}).expand({5}));
  State to;
  to.add("holder", live).rng(false);
  manager.restore(to, name);
  CHECK(live->x.equal(torch::full({5}, 3.0f)));
  CHECK(live->named_buffers()["x"].is_same(live->x));
  live->x[0] = 1;  // All five are there.
  CHECK(live->x.sum().item<float>() == 13);

  Holder other(torch::zeros({1}).expand({5}));
  checkpoint::load_state_dict(*other, state_dict(*live));
  CHECK(other->x.equal(live->x));
}

TEST_CASE("Conj and neg bits are resolved, which LibTorch 1.13 loses") {
  const torch::Tensor z = torch::randn({3}, torch::kComplexFloat);
  CHECK(same_bits(round_trip(z.conj()), z.conj().resolve_conj()));
  CHECK(same_bits(round_trip(torch::imag(z.conj())), torch::imag(z.conj()).resolve_neg()));
}

TEST_CASE("A tensor that shares a parameter's memory leaves its requires_grad alone") {
  const auto format = GENERATE(Format::kArchive, Format::kPth);
  const bool async = GENERATE(false, true);
  const test::TemporaryDirectory root;
  CheckpointManager manager(root.path(), CheckpointManagerOptions().format(format).async(async));
  torch::nn::Linear live(100, 100);
  torch::Tensor weight = live->weight.detach();
  State state;
  state.add("weight", weight).add("live", live).rng(false);
  const std::string name = manager.save(state, {});
  const auto size = [&](const char* file) {
    return std::filesystem::file_size(root / (name + file));
  };
  manager.restore(state, name, RestoreOptions().restore_modes(true));
  CHECK(live->weight.requires_grad());
  CHECK_FALSE(weight.requires_grad());
  CHECK(live->weight.data_ptr() == weight.data_ptr());
  CHECK(size(format == Format::kPth ? "/checkpoint.pth" : "/checkpoint.pt") < 70000);
}

TEST_CASE("Tied parameters are written once and stay tied") {
  Tied saved;
  State from;
  from.add("model", saved).rng(false);
  const Saved file(from);
  Tied live;
  State to;
  to.add("model", live).rng(false);
  file.restore(to);
  CHECK(same_bits(*saved, *live));
  CHECK(live->b->weight.data_ptr() == live->a->weight.data_ptr());

  // One checkpoint in two models leaves them apart, where LibTorch's own load ties them.
  Tied other;
  State second;
  second.add("model", other).rng(false);
  file.restore(second);
  CHECK(same_bits(*other, *live));
  CHECK(other->a->weight.data_ptr() != live->a->weight.data_ptr());
}

TEST_CASE("Views of one storage with two dtypes keep theirs") {
  torch::Tensor floats = torch::randn({4});
  torch::Tensor bits = floats.view(torch::kInt);
  State from;
  from.add("floats", floats).add("bits", bits).rng(false);
  const Saved file(from);
  torch::Tensor live_floats = torch::zeros({4}), live_bits = torch::zeros({4}, torch::kInt);
  State to;
  to.add("floats", live_floats).add("bits", live_bits).rng(false);
  file.restore(to);
  CHECK(same_bits(live_floats, floats));
  CHECK(same_bits(live_bits, bits));
}

TEST_CASE("Buffers that are undefined are not there, as in LibTorch") {
  torch::nn::BatchNorm2d norm(torch::nn::BatchNorm2dOptions(3).track_running_stats(false));
  State state;
  state.add("norm", norm);
  const Saved file(state);
  CHECK(file.restore(state).report.fits());
}

TEST_CASE("Names that plain LibTorch reads again are saved") {
  const std::string name =
      GENERATE("a/b", "a b", "ü", "0", "a'b", "a\tb", "self", "training", "my class", "print",
               "lambda", "from", "yield", "try", "classes", "a{b}#", "__init__");
  Holder saved(torch::randn({2}), name);
  State from;
  from.add("holder", saved).rng(false);
  const Saved file(from);
  Holder live(torch::zeros({2}), name);
  State to;
  to.add("holder", live).rng(false);
  file.restore(to);
  CHECK(same_bits(live->x, saved->x));

  torch::serialize::InputArchive archive, nested;
  archive.load_from(file.archive());
  archive.read("holder", nested);
  torch::Tensor plain;
  nested.read(name, plain, /*is_buffer=*/true);
  CHECK(same_bits(plain, saved->x));
}

TEST_CASE("Names that plain LibTorch cannot read again are refused before anything is written") {
  const std::string name = GENERATE(
      as<std::string>(), "a\"b", "a\\b", "a\nb", "def", "if", "else", "elif", "while", "return",
      "is", "True", "False", "None", "and", "or", "not", "global", "for", "in", "raise", "assert",
      "break", "continue", "del", "pass", "class", "import", "with", "as", "Ellipsis", "NoneType");
  Holder saved(torch::randn({2}), name);
  State from;
  from.add("holder", saved).rng(false);
  const test::TemporaryDirectory root;
  CheckpointManager manager(root / "run");
  const std::string error = error_of([&] { manager.save(from, {}); });
  CHECK(contains(error, "unsupported: "));
  CHECK(contains(error, "holder." + name));
  CHECK(manager.list().empty());
  CHECK(test::names_in(root / "run") == std::vector<std::string>{".lock"});

  // And rightly so.
  torch::serialize::OutputArchive archive;
  archive.write(name, torch::ones({2}));
  std::stringstream stream;
  archive.save_to(stream);
  torch::serialize::InputArchive back;
  torch::Tensor plain;
  CHECK_THROWS([&] {
    back.load_from(stream);
    back.read(name, plain);
  }());
}

TEST_CASE("Tensors that cannot be saved are refused by name") {
  const auto refused = [](const torch::Tensor& tensor) {
    Holder holder(tensor);
    State state;
    state.add("holder", holder);
    return error_of([&] { Saved file(state); });
  };
  const auto is_refused = [&](const torch::Tensor& tensor, const std::string& why) {
    const std::string error = refused(tensor);
    INFO(error);
    CHECK(contains(error, "unsupported: the tensor 'holder.x' cannot be saved: it is " + why));
  };
  is_refused(torch::eye(3).to_sparse(), "of the layout Sparse");
  is_refused(torch::eye(3).to_sparse_csr(), "of the layout SparseCsr");
  is_refused(torch::quantize_per_tensor(torch::ones({2}), 0.1, 0, torch::kQInt8), "quantized");
  is_refused(torch::quantize_per_channel(torch::ones({2, 2}), torch::full({2}, 0.1),
                                         torch::zeros({2}, torch::kInt64), 0, torch::kQUInt8),
             "quantized");
  is_refused(torch::empty({2}, torch::kMeta), "on the meta device");

  // What the hint says instead.
  const torch::Tensor sparse = torch::eye(3).to_sparse();
  Dict parts;
  parts.insert("indices", sparse.indices());
  parts.insert("values", sparse.values());
  Value saved = parts, live;
  State from, to;
  from.add("sparse", saved);
  to.add("sparse", live);
  Saved(from).restore(to);
  const torch::Tensor back = torch::sparse_coo_tensor(live.dict().at("indices").to_tensor(),
                                                      live.dict().at("values").to_tensor(), {3, 3});
  CHECK(torch::equal(back.to_dense(), torch::eye(3)));
}

TEST_CASE("All that does not fit is said at once, and nothing has changed") {
  Net saved;
  State from;
  from.add("model", saved).add("extra", saved);
  const Saved file(from);

  struct OtherImpl : torch::nn::Module {
    OtherImpl() {
      conv = register_module("conv", torch::nn::Conv2d(1, 3, 3));
      first = register_module("first", torch::nn::Linear(12, 7));  // another shape
      second = register_module("second", torch::nn::Linear(6, 2));
      second->to(torch::kDouble);                               // another dtype
      head = register_module("head", torch::nn::Linear(2, 2));  // not in the file
      norm = register_buffer("norm", torch::ones({1}));         // a tensor, not a module
    }
    torch::nn::Conv2d conv{nullptr};
    torch::nn::Linear first{nullptr}, second{nullptr}, head{nullptr};
    torch::Tensor norm;
  };
  auto live = std::make_shared<OtherImpl>();
  int64_t number = 7;
  State to;
  to.add("model", live).add("number", number);
  const auto before = copies_of(*live);
  const torch::Tensor rng = at::detail::getDefaultCPUGenerator().get_state();

  const std::string error = error_of([&] { file.restore(to); });
  CHECK(contains(error, "incompatible: "));
  CHECK(contains(error, "nothing was changed"));
  CHECK(contains(error, "model.first.weight: shape [7, 12] here, [6, 12] saved"));
  CHECK(contains(error, "model.second.weight: dtype float64 here, float32 saved"));
  CHECK(contains(error, "model.head.weight"));
  CHECK(contains(error, "    model.norm\n"));  // A tensor here, a module saved.
  CHECK(contains(error, "    model.norm.weight\n"));
  CHECK(contains(error, "live, but not saved:"));
  CHECK(contains(error, "    number"));
  CHECK(unchanged(*live, before));
  CHECK(number == 7);
  CHECK(same_bits(at::detail::getDefaultCPUGenerator().get_state(), rng));
}

TEST_CASE("Keys of the file that are not live are an error inside an item") {
  torch::nn::Sequential saved(torch::nn::Linear(2, 2), torch::nn::Linear(2, 2));
  State from;
  from.add("model", saved);
  const Saved file(from);
  torch::nn::Sequential live(torch::nn::Linear(2, 2));
  State to;
  to.add("model", live);
  const std::string error = error_of([&] { file.restore(to); });
  CHECK(contains(error, "saved, but not live:"));
  CHECK(contains(error, "model.1.weight"));
}

TEST_CASE("A graph that a restore would corrupt raises at backward") {
  Holder saved(torch::ones({2, 3}));
  State from;
  from.add("holder", saved);
  const Saved file(from);
  torch::Tensor base = torch::full({4, 6}, 2.0);
  // Read straight into its memory; copied; a view whose base is in the graph.
  for (const torch::Tensor& tensor : {torch::full({2, 3}, 2.0), torch::full({3, 2}, 2.0).t(),
                                      base.slice(0, 0, 2).slice(1, 0, 3)}) {
    Holder live(tensor);
    torch::Tensor input = torch::ones({2, 3}, torch::requires_grad());
    const torch::Tensor loss = (input * live->x).sum();
    State to;
    to.add("holder", live);
    file.restore(to);
    CHECK(same_bits(live->x, saved->x));
    std::string error;
    try {
      loss.backward();
    } catch (const c10::Error& thrown) {
      error = thrown.what();
    }
    CHECK(contains(error, "modified by an inplace operation"));
  }
  torch::Tensor input = torch::ones({4, 6}, torch::requires_grad());
  const torch::Tensor loss = (input * base).sum();
  Holder live(base.slice(0, 0, 2).slice(1, 0, 3));
  State to;
  to.add("holder", live);
  file.restore(to);
  CHECK_THROWS(loss.backward());

  // As with plain LibTorch.
  torch::serialize::InputArchive archive, nested;
  archive.load_from(file.archive());
  archive.read("holder", nested);
  Holder plain(torch::full({2, 3}, 2.0));
  torch::Tensor other = torch::ones({2, 3}, torch::requires_grad());
  const torch::Tensor other_loss = (other * plain->x).sum();
  plain->load(nested);
  CHECK_THROWS(other_loss.backward());
}

TEST_CASE("Tensors made in inference mode are restored too, whichever way they are written") {
  Holder saved(torch::ones({2, 3}));
  State from;
  from.add("holder", saved);
  const Saved file(from);
  for (const bool transposed : {false, true}) {
    torch::Tensor tensor;
    {
      const c10::InferenceMode inference;
      tensor = transposed ? torch::zeros({3, 2}).t() : torch::zeros({2, 3});
    }
    REQUIRE(tensor.is_inference());
    Holder live(tensor);
    State to;
    to.add("holder", live);
    file.restore(to);
    CHECK(same_bits(live->x, saved->x));
    Saved again(to);
  }
}
