#include "support/catch.h"
#include "support/error_of.h"
#include "support/models.h"
#include "support/round_trip.h"

#include <limits>

using namespace checkpoint;
using test::Net;
using test::same_bits;
using test::Saved;

namespace {

template <typename T>
T round_trip(T value) {
  State from;
  from.add("value", value);
  const Saved file(from);
  T live{};
  State to;
  to.add("value", live);
  file.restore(to);
  return live;
}

}  // namespace

TEST_CASE("Values of every arithmetic type, and texts, come back") {
  CHECK(round_trip(true) == true);
  CHECK(round_trip(std::numeric_limits<int8_t>::min()) == std::numeric_limits<int8_t>::min());
  CHECK(round_trip(std::numeric_limits<uint16_t>::max()) == std::numeric_limits<uint16_t>::max());
  CHECK(round_trip(std::numeric_limits<int64_t>::min()) == std::numeric_limits<int64_t>::min());
  CHECK(round_trip(std::numeric_limits<int64_t>::max()) == std::numeric_limits<int64_t>::max());
  CHECK(round_trip(size_t{1} << 40) == size_t{1} << 40);
  CHECK(round_trip('x') == 'x');
  CHECK(round_trip(0.1) == 0.1);
  CHECK(round_trip(0.1F) == 0.1F);
  CHECK(round_trip(std::numeric_limits<double>::infinity()) ==
        std::numeric_limits<double>::infinity());
  CHECK(std::isnan(round_trip(std::nan(""))));
  CHECK(round_trip(std::string("quo\"te, back\\slash,\nline, ü")) ==
        "quo\"te, back\\slash,\nline, ü");
  CHECK(round_trip(std::string()).empty());
}

TEST_CASE("Numbers beyond int64 and double come back") {
  for (const uint64_t number : {uint64_t{0}, uint64_t{INT64_MAX}, uint64_t{INT64_MAX} + 1,
                                std::numeric_limits<uint64_t>::max()}) {
    CHECK(round_trip(number) == number);
    CHECK(round_trip(static_cast<unsigned long long>(number)) == number);
  }
  using Long = std::numeric_limits<long double>;
  for (const long double number :
       {0.5L, 0.1L, -1 - Long::epsilon(), Long::max(), Long::denorm_min(), Long::infinity()}) {
    CHECK(round_trip(number) == number);
  }
  CHECK(std::isnan(round_trip(Long::quiet_NaN())));

  uint64_t huge = std::numeric_limits<uint64_t>::max();
  State from;
  from.add("value", huge);
  const Saved file(from);
  int64_t narrow = 7;
  State to;
  to.add("value", narrow);
  CHECK(contains(error_of([&] { file.restore(to); }),
                 "value: int64_t here, and the uint64 18446744073709551615 saved"));
  // A text that is no such number.
  std::string text = "18446744073709551616";
  State from_text;
  from_text.add("value", text);
  const Saved text_file(from_text);
  State to_huge;
  to_huge.add("value", huge);
  CHECK(contains(error_of([&] { text_file.restore(to_huge); }),
                 "value: uint64_t here, and the string '18446744073709551616' saved"));
  CHECK(huge == std::numeric_limits<uint64_t>::max());
  // A tree would make a negative number of it.
  CHECK(contains(error_of([&] { Value{huge}; }), "this one is 18446744073709551615"));
}

TEST_CASE("A number that would not come back equal is refused") {
  int64_t wide = 300, negative = -1;
  State from;
  from.add("wide", wide).add("negative", negative);
  const Saved file(from);
  uint8_t narrow = 7;
  uint64_t unsigned_number = 8;
  State to_narrow, to_unsigned;
  to_narrow.add("wide", narrow);
  to_unsigned.add("negative", unsigned_number);
  CHECK(contains(error_of([&] { file.restore(to_narrow); }), "wide: uint8_t here"));
  CHECK(contains(error_of([&] { file.restore(to_unsigned); }), "negative: uint64_t here"));
  CHECK(narrow == 7);
  CHECK(unsigned_number == 8);
}

TEST_CASE("If one item refuses, the values written before it are taken back") {
  int64_t a = 1;
  uint64_t b = 300;
  long double c = 0.1L;
  test::Refusing refusing;
  State from;
  from.add("a", a).add("b", b).add("c", c).add("refusing", refusing);
  const Saved file(from);
  a = 5;
  b = std::numeric_limits<uint64_t>::max();
  c = 7;
  CHECK(contains(error_of([&] { file.restore(from); }), "I refuse"));
  CHECK(a == 5);
  CHECK(b == std::numeric_limits<uint64_t>::max());
  CHECK(c == 7);
}

TEST_CASE("A number that does not fit is refused with its value and both types") {
  const auto into = [](auto live, auto saved) {
    const auto before = live;
    State from, to;
    from.add("v", saved);
    to.add("v", live);
    const Saved file(from);
    const std::string error = error_of([&] { file.restore(to); });
    CHECK(live == before);
    // With Strict::kNo, what does not fit keeps its value.
    CHECK(file.restore(to, RestoreOptions().strict(Strict::kNo)).report.mismatched.size() == 1);
    CHECK(live == before);
    CHECK(contains(error, "incompatible: "));
    CHECK(contains(error, "v: "));
    return error.substr(error.find("v: ") + 3);
  };
  const int64_t past_double = (int64_t{1} << 53) + 1;
  CHECK(
      contains(into(1.F, 1e300), "float here, and the double 1e+300 saved, which it cannot hold"));
  CHECK(contains(into(1.F, 1e-300), "float here, and the double 1e-300 saved"));
  CHECK(contains(into(1.F, (int64_t{1} << 24) + 1), "float here, and the int 16777217 saved"));
  CHECK(contains(into(1., past_double), "double here, and the int 9007199254740993 saved"));
  CHECK(contains(into(1., std::numeric_limits<int64_t>::max()), "the int 9223372036854775807"));
  CHECK(contains(into(int64_t{1}, std::numeric_limits<uint64_t>::max()),
                 "int64_t here, and the uint64 18446744073709551615 saved"));
  CHECK(
      contains(into(1., std::numeric_limits<uint64_t>::max()), "double here, and the uint64 1844"));
  CHECK(contains(into(1., 0.1L), "double here, and the long double "));
  CHECK(contains(into(uint64_t{1}, int64_t{-1}), "uint64_t here, and the int -1 saved"));
  CHECK(contains(into(uint16_t{1}, int64_t{-1}), "uint16_t here, and the int -1 saved"));
  CHECK(
      contains(into(uint32_t{1}, int64_t{1} << 32), "uint32_t here, and the int 4294967296 saved"));
  CHECK(contains(into(int8_t{1}, int64_t{300}), "int8_t here, and the int 300 saved"));
  CHECK(contains(into(int8_t{1}, int64_t{128}), "int8_t here, and the int 128 saved"));
  CHECK(contains(into(int8_t{1}, int64_t{-129}), "int8_t here, and the int -129 saved"));
  CHECK(contains(into(1, 0.5), "int32_t here, and the double 0.5 saved, which it cannot"));
  CHECK(contains(into(uint64_t{1}, 0.5), "uint64_t here, and the double 0.5 saved"));
  CHECK(contains(into(1, std::string("one")), "int32_t here, and the string 'one' saved"));
}

TEST_CASE("A number that fits another type goes into it") {
  const auto into = [](auto live, auto saved) {
    State from, to;
    from.add("v", saved);
    to.add("v", live);
    Saved(from).restore(to);
    return live;
  };
  CHECK(into(0.F, 0.1) == 0.1F);  // Rounded.
  CHECK(into(1.F, 0.) == 0.F);
  CHECK(into(0.F, -std::numeric_limits<double>::infinity()) ==
        -std::numeric_limits<float>::infinity());
  CHECK(std::isnan(into(0.F, std::nan(""))));
  CHECK(into(0.F, int64_t{1} << 40) == 0x1p40F);
  CHECK(into(0., int64_t{1} << 60) == 0x1p60);
  CHECK(into(0., std::numeric_limits<int64_t>::min()) == -0x1p63);
  CHECK(into(0.L, std::numeric_limits<int64_t>::max()) == 0x1p63L - 1);
  CHECK(into(int8_t{0}, int64_t{-128}) == -128);
  CHECK(into(uint64_t{0}, int64_t{7}) == 7);
  CHECK(into(int64_t{0}, uint64_t{7}) == 7);
}

TEST_CASE("A value of another kind is refused; an int may become a double") {
  int64_t number = 3;
  State from;
  from.add("value", number);
  const Saved file(from);
  std::string text = "t";
  State to_text;
  to_text.add("value", text);
  CHECK(
      contains(error_of([&] { file.restore(to_text); }), "value: a string here, and a int saved"));
  double real = 0;
  State to_double;
  to_double.add("value", real);
  file.restore(to_double);
  CHECK(real == 3);
}

TEST_CASE("Tensors by reference: in place where there is one, new where there is none") {
  torch::Tensor saved = torch::randn({3});
  State from;
  from.add("tensor", saved);
  const Saved file(from);
  torch::Tensor live = torch::zeros({3}), undefined;
  void* const memory = live.data_ptr();
  State to;
  to.add("tensor", live);
  file.restore(to);
  CHECK(same_bits(live, saved));
  CHECK(live.data_ptr() == memory);
  State to_new;
  to_new.add("tensor", undefined);
  file.restore(to_new);
  CHECK(same_bits(undefined, saved));
  saved = torch::Tensor();
  const Saved empty(from);
  empty.restore(to);
  CHECK_FALSE(live.defined());
}

TEST_CASE("Trees of values come back") {
  Dict dict;
  dict.insert("list", Value::List{1, 2.5, "three", Value(), true});
  dict.insert("tuple", Tuple{{torch::ones({2}), 4}});
  dict.insert("empty list", Value::List{});
  dict.insert("nested", [] {
    Dict nested;
    nested.insert("tensor", torch::arange(3));
    return nested;
  }());
  dict.insert("complex", c10::complex<double>(1, -2));
  dict.insert("", "the empty name");
  dict.insert("a.b", torch::full({2}, 3.F));
  dict.insert("infinite", -std::numeric_limits<double>::infinity());
  Value saved = dict;
  State from;
  from.add("tree", saved);
  const Saved file(from);
  Value live;
  State to;
  to.add("tree", live);
  file.restore(to);
  const Dict& back = live.dict();
  CHECK(back.at("list").list()[0].to_int() == 1);
  CHECK(back.at("list").list()[1].to_double() == 2.5);
  CHECK(back.at("list").list()[2].to_string() == "three");
  CHECK(back.at("list").list()[3].is_none());
  CHECK(back.at("list").list()[4].to_bool());
  CHECK(same_bits(back.at("tuple").tuple()[0].to_tensor(), torch::ones({2})));
  CHECK(back.at("tuple").tuple()[1].to_int() == 4);
  CHECK(back.at("empty list").list().empty());
  CHECK(same_bits(back.at("nested").dict().at("tensor").to_tensor(), torch::arange(3)));
  CHECK(back.at("complex").to_complex() == c10::complex<double>(1, -2));
  CHECK(back.at("").to_string() == "the empty name");
  CHECK(same_bits(back.at("a.b").to_tensor(), torch::full({2}, 3.F)));
  CHECK(back.at("infinite").to_double() == -std::numeric_limits<double>::infinity());
}

TEST_CASE("Names that a State cannot have are refused at once") {
  int64_t value = 0;
  State state;
  state.add("taken", value);
  for (const char* name : {"", "epoch", "loss", "step", "rng", "taken", "a\xff"}) {
    INFO(name);
    CHECK_THROWS_AS(state.add(name, value), Error);
  }
  torch::nn::Linear empty(nullptr);
  CHECK_THROWS_AS(state.add("empty", empty), Error);
}

TEST_CASE("Items of the file that the State does not name are listed, and are no error") {
  Net net;
  torch::optim::SGD optimizer(net->parameters(), 0.1);
  State from;
  from.add("model", net).add("optimizer", optimizer);
  const Saved file(from);
  Net live;
  State evaluator;
  evaluator.add("model", live).rng(false);
  const Restored restored = file.restore(evaluator);
  CHECK(same_bits(*net, *live));
  CHECK(restored.report.ignored_items == std::vector<std::string>{"optimizer", "rng"});
  CHECK(restored.report.fits());
}

TEST_CASE("An item of another kind in the file is refused") {
  Net net;
  State from;
  from.add("thing", net);
  const Saved file(from);
  double number = 0;
  State to;
  to.add("thing", number);
  CHECK(contains(error_of([&] { file.restore(to); }), "thing: value here, module saved"));
}

TEST_CASE("Live tensors that overlap get what the file holds for the one added later") {
  constexpr int64_t kSize = 6000000;  // Enough for several threads.
  torch::Tensor whole = torch::randn({kSize}), part = torch::full({kSize / 2}, 7.0f);
  torch::Tensor tail = torch::full({10}, 9.0f);
  const bool whole_first = GENERATE(true, false);
  CAPTURE(whole_first);
  const auto state_of = [](bool begin_with_whole, torch::Tensor& large, torch::Tensor& small,
                           torch::Tensor& last) {
    State state;
    if (begin_with_whole) state.add("whole", large);
    state.add("part", small).add("tail", last);
    if (!begin_with_whole) state.add("whole", large);
    return state;
  };
  // Saved in the other order: the position in the file does not matter.
  const test::Saved saved(state_of(!whole_first, whole, part, tail));

  torch::Tensor large = torch::zeros({kSize});
  torch::Tensor small = large.narrow(0, 100, kSize / 2);
  torch::Tensor last = large.narrow(0, kSize / 2, 10);  // Within both.
  State state = state_of(whole_first, large, small, last);
  saved.restore(state);
  torch::Tensor expected = whole.clone();
  if (whole_first) {
    expected.narrow(0, 100, kSize / 2).fill_(7);
    expected.narrow(0, kSize / 2, 10).fill_(9);
  }
  CHECK(large.equal(expected));
}

TEST_CASE("Live tensors that overlap get that of the one added later, though one has gaps") {
  torch::Tensor saved_whole = torch::zeros({8}), saved_part = torch::ones({4});
  const bool whole_first = GENERATE(true, false);
  CAPTURE(whole_first);
  const auto state_of = [&](torch::Tensor& whole, torch::Tensor& part) {
    State state;
    if (whole_first) state.add("whole", whole);
    state.add("part", part);
    if (!whole_first) state.add("whole", whole);
    return state;
  };
  const test::Saved saved(state_of(saved_whole, saved_part));
  torch::Tensor whole = torch::full({8}, 5.0f);
  torch::Tensor every_second = whole.slice(0, 0, 8, 2);
  State state = state_of(whole, every_second);
  saved.restore(state);
  CHECK(whole.sum().item<float>() == (whole_first ? 4 : 0));
}
