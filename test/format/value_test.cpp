#include <checkpoint/value.h>

#include "support/catch.h"
#include "support/error_of.h"

#include "format/tree/path.h"

#include <ATen/Functions.h>

using namespace checkpoint;

TEST_CASE("a value tells its kind, and refuses to be another", "[value]") {
  CHECK(Value().is_none());
  CHECK(Value(true).kind() == Value::Kind::kBool);
  CHECK(Value(3).kind() == Value::Kind::kInt);
  CHECK(Value(int64_t{3}).to_int() == 3);
  CHECK(Value(2.5).to_double() == 2.5);
  CHECK(Value(3).to_double() == 3.0);
  CHECK(Value(c10::complex<double>(1, 2)).to_complex().imag() == 2);
  CHECK(Value("text").to_string() == "text");
  CHECK(Value(at::empty({2})).to_tensor().numel() == 2);
  CHECK(Value(Value::List{1, "a"}).list().size() == 2);
  CHECK(Value(Tuple{{1, 2}}).tuple().size() == 2);
  CHECK(Value(Dict()).dict().empty());
  CHECK(contains(error_of([] { Value(2.5).to_int(); }), "incompatible: a value of kind double"));
  CHECK(
      contains(error_of([] { Value(0.5).to_int(); }), "double (0.5) found where one of kind int"));
  CHECK(Value(int64_t{1} << 60).to_double() == 0x1p60);
  CHECK(contains(error_of([] { Value((int64_t{1} << 53) + 1).to_double(); }),
                 "incompatible: the int 9007199254740993 found where a double is needed"));
  CHECK(contains(error_of([] { Value(INT64_MAX).to_double(); }), "9223372036854775807"));
  CHECK(contains(error_of([] { Value().dict(); }), "where one of kind dict is needed"));
  CHECK(contains(error_of([] { Value(1).to_bool(); }), "of kind int"));
}

TEST_CASE("a dict keeps its order and replaces nothing", "[value]") {
  Dict dict;
  dict.insert("b", 1);
  dict.insert("a", 2);
  dict.insert(int64_t{7}, 3);
  dict.insert("7", 4);
  std::string order;
  for (const auto& entry : dict) order += to_string(entry.first) + ",";
  CHECK(order == "b,a,7,7,");
  CHECK(dict.at("7").to_int() == 4);
  CHECK(dict.at(int64_t{7}).to_int() == 3);
  CHECK(dict.find("c") == nullptr);
  CHECK(contains(error_of([&] { dict.insert("a", 5); }), "invalid_argument: the key 'a'"));
  CHECK(dict.at("a").to_int() == 2);
  CHECK(contains(error_of([&] { dict.at("c"); }), "not_found: no key 'c'"));

  Dict copy = dict;
  *copy.find("a") = Value(9);
  CHECK(copy.at("a").to_int() == 9);
  CHECK(dict.at("a").to_int() == 2);
  const Dict moved = std::move(copy);
  CHECK(moved.at("a").to_int() == 9);
}

TEST_CASE("a dict is written as it is read", "[value]") {
  const Dict dict{{"lr", 0.1}, {"layers", Value::List{2, 3}}, {7, "seven"}};
  CHECK(dict.size() == 3);
  CHECK(to_string(dict.begin()->first) == "lr");
  CHECK(Dict{{"a", "b"}}.at("a").to_string() == "b");
  CHECK(Dict{{0, 1.5}}.at(0).to_double() == 1.5);
  CHECK(Dict{}.empty());
  CHECK(Dict{dict}.size() == 3);
  CHECK_THROWS_AS((Dict{{"a", 1}, {"a", 2}}), Error);
  Dict changed = dict;
  changed.set("lr", 0.2);
  changed.set("new", true);
  CHECK(changed.at("lr").to_double() == 0.2);
  CHECK(changed.size() == 4);
  CHECK(to_string((--changed.end())->first) == "new");

  const Value tree = Dict{{"optimizer", dict}, {"pair", Tuple{{1, "two"}}}};
  CHECK(tree["optimizer"]["lr"].to_double() == 0.1);
  CHECK(tree["optimizer"]["layers"][1].to_int() == 3);
  CHECK(tree["optimizer"][7].to_string() == "seven");
  CHECK(tree["pair"][size_t{1}].to_string() == "two");
  CHECK(tree.contains("pair"));
  CHECK_FALSE(tree.contains("pear"));
  CHECK_FALSE(tree["pair"].contains("1"));
  CHECK(contains(error_of([&] { tree["optimiser"]; }), "no key 'optimiser'"));
  CHECK(contains(error_of([&] { tree["optimiser"]; }), "'optimizer'"));
  CHECK(contains(error_of([&] { tree["pair"][2]; }), "no element 2: there are 2"));
  CHECK(contains(error_of([&] { tree["pair"][-1]; }), "no element -1"));
  CHECK(contains(error_of([&] { tree["pair"]["two"]; }), "incompatible: "));
  CHECK(contains(error_of([&] { tree["optimizer"]["lr"][0]; }), "incompatible: "));
}

TEST_CASE("a dict finds its entries whatever its size", "[value]") {
  Dict dict;
  for (int64_t i = 0; i < 100; ++i) {
    dict.insert(i % 2 == 0 ? Key(i) : Key("key " + std::to_string(i)), i);
    for (int64_t k = 0; k < 100; ++k) {
      const Key key = k % 2 == 0 ? Key(k) : Key("key " + std::to_string(k));
      if (k > i) {
        CHECK(dict.find(key) == nullptr);
      } else {
        CHECK(dict.at(key).to_int() == k);
        CHECK(contains(error_of([&] { dict.insert(key, 5); }), "is there already"));
      }
    }
  }
  CHECK(dict.size() == 100);
  dict.for_each([](const Key&, Value& value) { value = Value(value.to_int() + 1); });
  CHECK(dict.at(int64_t{98}).to_int() == 99);
  const Dict copy = dict;
  CHECK(copy.at("key 99").to_int() == 100);
}

TEST_CASE("tensors in a tree are visited with their places", "[value]") {
  const at::Tensor tensor = at::ones({1});
  Dict inner;
  inner.insert(int64_t{3}, tensor);
  inner.insert("x", 1);
  Dict dict;
  dict.insert("model", std::move(inner));
  dict.insert("list", Value::List{1, tensor, Tuple{{tensor}}});
  Value tree(std::move(dict));
  std::string places;
  const auto note = [&](const Value& value, const format::Path& path) {
    CHECK(value.to_tensor().is_same(tensor));
    CHECK(path.find_in(tree) == &value);
    places += path.text() + " ";
  };
  format::for_each_tensor(std::as_const(tree), format::Path(), note);
  CHECK(places == "model.3 list.1 list.2.0 ");
  const std::string root = "root";
  format::for_each_tensor(tree, format::Path(root), [&](Value& value, const format::Path& path) {
    if (path.text() == "root.list.1") value = Value(at::zeros({2}));
  });
  CHECK(tree.dict().at("list").list()[1].to_tensor().numel() == 2);
}
