#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/round_trip.h"

#include <chrono>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <unordered_map>

using namespace checkpoint;
using test::same_bits;
using test::Saved;

namespace {

enum class Stage : uint8_t { kWarmUp, kMain = 200 };

// Restored into `live`, from a file of either kind.
template <typename T>
void restore_into(T& live, T& saved, Format format) {
  test::TemporaryDirectory directory;
  State from;
  from.add("data", saved);
  CheckpointManager manager(directory.path(), CheckpointManagerOptions().format(format));
  const std::string name = manager.save(from, {});
  State to;
  to.add("data", live);
  manager.restore(to, name);
}

// Whether a value comes back from files of both kinds, over another one.
template <typename T>
bool comes_back(T saved, T live = T()) {
  for (const Format format : {Format::kArchive, Format::kPth}) {
    T over = live;
    restore_into(over, saved, format);
    if (!(over == saved)) return false;
  }
  return true;
}

// What a restore of one type's file into another type says.
template <typename From, typename To>
std::string mismatch(From saved, To live) {
  State from, to;
  from.add("data", saved);
  const To before = live;
  to.add("data", live);
  const Saved file(from);
  const std::string error = error_of([&] { file.restore(to); });
  CHECK(live == before);
  return error;
}

}  // namespace

TEST_CASE("Containers of values come back as they were") {
  CHECK(comes_back<std::vector<double>>({0.1, -0.0, 1e300, INFINITY}, {1, 2}));
  CHECK(comes_back<std::vector<double>>({}, {1, 2}));
  CHECK(comes_back<std::vector<float>>({0.1F, 3}));
  CHECK(comes_back<std::vector<bool>>({true, false, true}, {false}));
  CHECK(comes_back<std::vector<int8_t>>({-128, 127}));
  CHECK(comes_back<std::vector<uint64_t>>({0, UINT64_MAX}));
  CHECK(comes_back<std::vector<long double>>({0.1L, 0.5L}));
  CHECK(comes_back<std::vector<std::string>>({"", "quo\"te", "line\n"}));
  CHECK(comes_back<std::deque<int>>({1, 2, 3}, {9}));
  CHECK(comes_back<std::list<std::string>>({"a"}));
  CHECK(comes_back<std::set<int>>({3, 1}, {5}));
  CHECK(comes_back<std::array<float, 3>>({1, 2, 3}));
  CHECK(comes_back<std::pair<int, std::string>>({7, "seven"}));
  CHECK(comes_back<std::tuple<bool, double, std::vector<int>>>({true, 0.5, {1}}));
  CHECK(comes_back<std::vector<std::vector<double>>>({{1}, {}, {2, 3}}));
  CHECK(comes_back<std::vector<std::pair<std::string, double>>>({{"a", 1}, {"b", 2}}));
  CHECK(comes_back<std::vector<std::complex<double>>>({{1, 2}}));
  CHECK(comes_back<std::complex<float>>({1, 2}));
}

TEST_CASE("Maps come back with keys of any text and number") {
  CHECK(comes_back<std::map<std::string, double>>({{"loss", 0.5}}, {{"old", 1}}));
  CHECK(comes_back<std::map<std::string, int>>({{"in", 1}, {"quo\"te", 2}, {"", 3}, {"a.b", 4}}));
  CHECK(comes_back<std::unordered_map<std::string, std::vector<int>>>({{"a", {1}}, {"b", {}}}));
  CHECK(comes_back<std::map<int, std::string>>({{-1, "minus"}, {7, "seven"}}));
  CHECK(comes_back<std::map<Stage, int>>({{Stage::kMain, 1}}));
  CHECK(comes_back<std::map<uint64_t, int>>({{1, 1}, {2, 2}}));
  CHECK(comes_back<std::map<uint64_t, int>>({{1, 1}, {UINT64_MAX, 2}}));
  CHECK(comes_back<std::map<std::pair<int, int>, double>>({{{1, 2}, 3}}));
  CHECK(comes_back<std::map<double, int>>({{0.5, 3}}));
  CHECK(comes_back<std::map<bool, int>>({{true, 3}}));
  CHECK(comes_back<std::map<std::string, std::map<int, std::optional<double>>>>(
      {{"a", {{1, 0.5}, {2, {}}}}}));
  CHECK(comes_back<std::map<std::string, int>>({}, {{"old", 1}}));
}

TEST_CASE("A map keeps its own order") {
  const auto descending = [](const std::string& a, const std::string& b) { return a > b; };
  std::map<std::string, int, std::function<bool(const std::string&, const std::string&)>> map(
      descending);
  map = {{{"a", 1}, {"b", 2}}, descending};
  State state;
  state.add("map", map);
  const Saved file(state);
  map.clear();
  file.restore(state);
  CHECK(map.begin()->first == "b");
  CHECK(map.size() == 2);
}

TEST_CASE("Enums, optionals, durations and atomics come back") {
  CHECK(comes_back(Stage::kMain));
  CHECK(comes_back<std::optional<double>>(0.5));
  CHECK(comes_back<std::optional<double>>(std::nullopt, 0.5));
  CHECK(comes_back<std::optional<std::vector<int>>>({{1}}));
  CHECK(comes_back(std::chrono::milliseconds(1500)));
  CHECK(comes_back(std::chrono::duration<double>(0.1)));
  std::atomic<int64_t> count{7};
  State state;
  state.add("count", count);
  const Saved file(state);
  count = 0;
  file.restore(state);
  CHECK(count == 7);
}

namespace {

template <typename Engine>
void check_engine(Engine engine) {
  INFO(typeid(Engine).name());
  for (int i = 0; i < 1000; ++i) engine();
  CHECK(comes_back(engine));
}

// Two draws, so that a distribution that keeps half of a pair is caught with it.
template <typename Distribution>
void check_distribution(Distribution distribution) {
  INFO(typeid(Distribution).name());
  std::mt19937 engine;
  for (int i = 0; i < 3; ++i) distribution(engine);
  Distribution back;
  restore_into(back, distribution, Format::kArchive);
  std::mt19937 twin = engine;
  for (int i = 0; i < 100; ++i) CHECK(distribution(engine) == back(twin));
}

}  // namespace

TEST_CASE("C++'s own random engines and distributions go on where they were") {
  check_engine(std::mt19937(7));
  check_engine(std::mt19937_64(7));
  check_engine(std::minstd_rand0(7));
  check_engine(std::minstd_rand(7));
  check_engine(std::ranlux24_base(7));
  check_engine(std::ranlux48_base(7));
  check_engine(std::ranlux24(7));
  check_engine(std::ranlux48(7));
  check_engine(std::knuth_b(7));
  check_engine(std::independent_bits_engine<std::ranlux24, 20, uint32_t>(7));
  check_engine(std::shuffle_order_engine<std::ranlux48, 8>(7));
  check_distribution(std::normal_distribution<double>(0.1, 0.3));
  check_distribution(std::normal_distribution<float>(0.1F, 0.3F));
  check_distribution(std::uniform_real_distribution<double>(0.1, 0.7));
  check_distribution(std::uniform_int_distribution<int>(-5, 100));
  check_distribution(std::bernoulli_distribution(0.1));
  check_distribution(std::lognormal_distribution<double>(0.1, 0.3));
  check_distribution(std::gamma_distribution<double>(0.7, 0.3));
  check_distribution(std::student_t_distribution<double>(3.1));
  check_distribution(std::poisson_distribution<int>(3.3));
  check_distribution(std::binomial_distribution<int>(10, 0.3));
  std::vector<std::mt19937> several{std::mt19937(1), std::mt19937(2)};
  CHECK(comes_back(several));
}

TEST_CASE("A text that is not an engine's is refused") {
  const std::string in_file = "saved that is not the text of one of its type";
  CHECK(contains(mismatch(std::mt19937(1), std::minstd_rand(2)), in_file));
  CHECK(contains(mismatch(std::minstd_rand(1), std::mt19937(2)), in_file));
  CHECK(contains(mismatch(std::string("seed"), std::mt19937(2)), in_file));
  CHECK(contains(mismatch(7, std::mt19937(2)), "data: a string here, and a int saved"));
  // Indices that the standard library would follow out of its memory.
  const auto with_last = [](const std::string& text, const std::string& last) {
    return text.substr(0, text.find_last_of(' ') + 1) + last;
  };
  std::ostringstream base, block, shuffled;
  base << std::ranlux24_base(1);
  block << std::ranlux24(1);
  shuffled << std::knuth_b(1);
  CHECK(contains(mismatch(with_last(base.str(), "1000000"), std::ranlux24_base(2)), in_file));
  CHECK(contains(mismatch(with_last(block.str(), "1000000"), std::ranlux24(2)), in_file));
  CHECK(contains(mismatch(with_last(shuffled.str(), "2147483647"), std::knuth_b(2)), in_file));
}

TEST_CASE("What does not fit a container is named by its place, and nothing changes") {
  using List = std::vector<double>;
  CHECK(contains(mismatch(std::vector<std::string>{"x"}, List{1, 2}),
                 "data.0: a double here, and a string saved"));
  CHECK(contains(mismatch(0.5, List{1}), "data: a list here, and a double saved"));
  CHECK(contains(mismatch(List{1, 2}, 0.5), "data: double here, and a list saved"));
  CHECK(contains(mismatch(List{1}, std::map<std::string, double>{}),
                 "data.0: a tuple here, and a double saved"));
  CHECK(contains(mismatch(List{1, 2}, std::array<double, 3>{1, 2, 3}),
                 "data: a list of 3 here, and a list of 2 saved"));
  CHECK(contains(mismatch(std::map<std::string, int>{{"a", 300}}, std::map<std::string, int8_t>{}),
                 "data.a: an int from -128 to 127 here, and the int 300 saved"));
  CHECK(contains(mismatch(List{1e300}, std::vector<float>{1}), "data.0: a float here"));
  CHECK(contains(mismatch(std::vector<int64_t>{(int64_t{1} << 53) + 1}, List{1}),
                 "data.0: a double here, and the int 9007199254740993 saved"));
  CHECK(contains(mismatch(std::vector<int64_t>{INT64_MAX}, List{1}), "data.0: a double here"));
  CHECK(contains(mismatch(std::map<int, int>{{1, 1}}, std::map<std::string, int>{}),
                 "data.1: a string here, and a int saved"));
  CHECK(contains(mismatch(std::optional<double>(0.5), std::optional<int>(1)),
                 "data: a int here, and a double saved"));
  CHECK(contains(mismatch(-1, Stage::kWarmUp), "data: an int from 0 to 255 here"));
  // The first few of many.
  const std::string many = mismatch(std::vector<std::string>(1000, "x"), List{1});
  CHECK(contains(many, "data.9: "));
  CHECK_FALSE(contains(many, "data.10: "));
  // An integer may become a number with a point, as elsewhere.
  List numbers;
  std::vector<int> integers{1, 2};
  State from, to;
  from.add("data", integers);
  to.add("data", numbers);
  Saved(from).restore(to);
  CHECK(numbers == List{1, 2});
}

TEST_CASE("A container changes only after all of the State fits") {
  std::vector<double> history{1, 2, 3};
  std::mt19937 engine(1);
  int64_t other = 1;
  State from;
  from.add("history", history).add("engine", engine).add("other", other);
  const Saved file(from);
  std::vector<double> live_history{9};
  std::mt19937 live_engine(2);
  std::string live_other = "other";
  State to;
  to.add("history", live_history).add("engine", live_engine).add("other", live_other);
  CHECK_THROWS_AS(file.restore(to), Error);
  CHECK(live_history == std::vector<double>{9});
  CHECK(live_engine == std::mt19937(2));

  std::vector<double> more;
  to = State();
  to.add("more", more);
  const std::string error = error_of([&] { file.restore(to); });
  CHECK(contains(error, "live, but not saved:"));
  CHECK(contains(error, "more"));
}

TEST_CASE("Containers of tensors get new ones, and leave the live ones alone") {
  std::vector<torch::Tensor> saved{torch::randn({3}), torch::Tensor(), torch::randn({2, 2})};
  saved.push_back(saved[0]);  // Tied.
  std::map<std::string, std::deque<torch::Tensor>> nested{{"in", {torch::arange(3)}}};
  State from;
  from.add("tensors", saved).add("nested", nested);
  const Saved file(from);

  const torch::Tensor data_set = torch::zeros({3});
  std::vector<torch::Tensor> live{data_set};
  std::map<std::string, std::deque<torch::Tensor>> live_nested;
  State to;
  to.add("tensors", live).add("nested", live_nested);
  file.restore(to);
  REQUIRE(live.size() == 4);
  CHECK(same_bits(live[0], saved[0]));
  CHECK_FALSE(live[1].defined());
  CHECK(same_bits(live[2], saved[2]));
  CHECK(live[3].is_same(live[0]));
  CHECK(data_set.sum().item<double>() == 0);
  CHECK(same_bits(live_nested.at("in").at(0), torch::arange(3)));
}

TEST_CASE("Tensors of a container that an optimizer steps stay the ones that it steps") {
  const auto parameters = [] {
    return std::vector<torch::Tensor>{torch::randn({3}).set_requires_grad(true),
                                      torch::randn({2}).set_requires_grad(true)};
  };
  const auto step = [](const std::vector<torch::Tensor>& weights, torch::optim::Adam& optimizer) {
    (weights[0].square().sum() + weights[1].square().sum()).backward();
    optimizer.step();
  };
  std::vector<torch::Tensor> weights = parameters();
  torch::optim::Adam optimizer(weights, 0.1);
  step(weights, optimizer);
  State from;
  from.add("weights", weights).add("optimizer", optimizer);
  const Saved file(from);

  std::vector<torch::Tensor> live = parameters();
  // The other way round: by name all the same.
  torch::optim::Adam live_optimizer({live[1], live[0]}, 0.1);
  State to;
  to.add("weights", live).add("optimizer", live_optimizer);
  file.restore(to);
  const torch::Tensor first = live[0];
  weights[0].mutable_grad() = weights[1].mutable_grad() = torch::Tensor();
  step(weights, optimizer);
  step(live, live_optimizer);
  CHECK(same_bits(first, weights[0]));
  CHECK(same_bits(live[1], weights[1]));

  // One that the file lacks, or that has another shape, is a fault.
  std::vector<torch::Tensor> longer = parameters();
  longer.push_back(torch::randn({4}).set_requires_grad(true));
  longer[1] = torch::randn({7}).set_requires_grad(true);
  State to_longer;
  to_longer.add("weights", longer);
  const std::string error = error_of([&] { file.restore(to_longer); });
  CHECK(contains(error, "weights.2"));
  CHECK(contains(error, "weights.1: shape [7] here, [2] saved"));
  CHECK(longer.size() == 3);
}

TEST_CASE("Other readers see lists and dicts") {
  std::vector<double> list{1, 2};
  std::map<std::string, Stage> map{{"phase", Stage::kMain}};
  std::tuple<int, std::string> tuple{1, "a"};
  State state;
  state.add("list", list).add("map", map).add("tuple", tuple);
  const Saved file(state);
  const Value tree = load(file.path(), torch::kCPU);
  CHECK(tree.dict().at("list").list().at(1).to_double() == 2);
  CHECK(tree.dict().at("map").dict().at("phase").to_int() == 200);
  CHECK(tree.dict().at("tuple").tuple().at(1).to_string() == "a");
  // Plain LibTorch too.
  torch::serialize::InputArchive plain;
  plain.load_from(file.archive());
  c10::IValue dict, pair;
  plain.read("map", dict);
  plain.read("tuple", pair);
  CHECK(dict.toGenericDict().at("phase").toInt() == 200);
  CHECK(pair.toTupleRef().elements()[0].toInt() == 1);
  // What was saved as a tree goes into a container.
  Value as_tree = Value::List{1.0, 2.0};
  State from, to;
  from.add("list", as_tree);
  std::vector<double> live;
  to.add("list", live);
  Saved(from).restore(to);
  CHECK(live == std::vector<double>{1, 2});
}

TEST_CASE("A shared_ptr to an optimizer or value is added as what it points to, and kept alive") {
  test::Net net;
  State state;
  std::weak_ptr<torch::optim::Adam> watch;
  auto best = std::make_shared<double>(0.5);
  {
    auto optimizer = std::make_shared<torch::optim::Adam>(net->parameters(), 0.1);
    watch = optimizer;
    std::shared_ptr<torch::nn::Module> module = net.ptr();
    state.add("model", module).add("optimizer", optimizer).add("best", best);
    test::train(net, *optimizer, 1);
  }
  CHECK_FALSE(watch.expired());
  const Saved file(state);
  *best = 0;
  file.restore(state);
  CHECK(*best == 0.5);
  std::shared_ptr<torch::optim::Adam> none;
  CHECK(contains(error_of([&] { state.add("none", none); }),
                 "State::add(\"none\"): the pointer is null"));
  state = State();
  CHECK(watch.expired());
}
