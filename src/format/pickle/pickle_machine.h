#pragma once

#include "format/pickle/pickle_graph.h"
#include "format/pickle/pickle_reader.h"

#include <checkpoint/error.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace checkpoint::format::pickle {

/// How much memory a pickle may still ask for, in bytes; tied to its size, so that a short file
/// cannot ask for much.
class Budget {
 public:
  Budget(size_t pickle_bytes, const std::string& file);
  /// Throws Error(unsupported) when it is used up.
  void charge(uint64_t bytes);

 private:
  const std::string& file_;
  uint64_t left_;
};

/// The stack machine that a pickle is a program for. It knows the opcodes that LibTorch and Python
/// write for plain data, and makes a Graph; it runs nothing. Used once.
/// (pickle_machine.cpp: the program and its stack; pickle_calls.cpp: what the calls stand for.)
class Machine {
 public:
  /// All references must outlive the machine.
  Machine(std::string_view bytes, const std::string& file, const TensorMaker& make_tensor,
          Budget& budget);

  /// Runs the program to its end, and returns the one item that it leaves. Throws Error(corrupt)
  /// and Error(unsupported), each with the byte at which its opcode stands.
  Item run();

  const Graph& graph() const { return graph_; }
  /// After `run`: how many bytes the program took.
  size_t end() const { return position_; }

 private:
  // The program.
  bool step();
  std::string_view take(size_t count);
  uint64_t take_number(size_t width);
  std::string_view take_line();
  Text text_of(std::string_view part) const;
  std::string quoted_class(ClassName name) const;

  // The stack, down to the last mark.
  void push(Item item) { stack_.push_back(item); }
  Item pop();
  void pop_one();
  Item& top();
  size_t take_mark();
  Items last(size_t count) const;
  std::vector<Item> pop_many(size_t count);

  // The opcodes that do more than push a number.
  void push_long(uint64_t width);
  void push_double();
  Text take_text(size_t length_bytes);
  void push_global(std::string_view module, std::string_view name);
  void push_storage();
  template <typename At>
  void push_node(std::vector<Item> items) {
    budget_.charge(sizeof(items) + items.size() * sizeof(Item));
    graph_.nodes.push_back(std::move(items));
    push(At{static_cast<uint32_t>(graph_.nodes.size() - 1)});
  }
  // Adds to what was put into an object of an unknown class.
  template <typename At>
  void add_to(Item& part, std::vector<Item> items) {
    if (std::holds_alternative<None>(part)) {
      budget_.charge(sizeof(items));
      graph_.nodes.emplace_back();
      part = At{static_cast<uint32_t>(graph_.nodes.size() - 1)};
    }
    std::vector<Item>& node = graph_.nodes[std::get<At>(part).index];
    node.insert(node.end(), items.begin(), items.end());
  }
  void push_tuple(size_t count);
  void put(uint64_t id);
  void get(uint64_t id);
  void append(std::vector<Item> items);
  void set_items(std::vector<Item> items);
  void make_object();
  void make_object_with_keywords();
  void build();
  void reduce();

  // What the known globals stand for.
  Item call(Global global, const Item& arguments);
  Item call_known(Global global, Items arguments);
  Item make_opaque(Name name, const Item& arguments);
  Name name_of_made(Name called, Items arguments) const;
  bool is_unknown(const Item& item) const;
  Item rebuild_old_tensor(Items arguments);
  Item rebuild_tensor(Items arguments, size_t required);
  Item add_tensor(const Item& storage, std::optional<c10::ScalarType> dtype,
                  Items offset_sizes_strides, bool requires_grad);
  Item make_parameter(Items arguments);
  Item rebuild_from_cpu(Items arguments);
  Item rebuild_parameter(Items arguments);
  Item rebuild_from_type(Items arguments);
  Item require_grad(TensorAt at, bool requires_grad);
  void build_parameter(TensorAt at, const Item& state);
  Item ordered_dict(Items arguments);
  Item list_of(Items arguments);
  Item byte_array(Items arguments);
  Item make_device(Items arguments);
  Items tuple(const Item& item, const char* wanted) const;
  Items elements(const Item& item, const char* wanted) const;
  Text text(const Item& item, const char* wanted) const;
  std::vector<int64_t> integers(const Item& tuple);
  void require_empty_dict(const Item& item, const char* what);
  // The item as a T; an error that says what was wanted otherwise.
  template <typename T>
  T as(const Item& item, const char* wanted) const {
    const T* value = std::get_if<T>(&item);
    if (value == nullptr) wrong(item, wanted);
    return *value;
  }

  c10::ScalarType dtype_of_storage(const Item& item) const;
  c10::ScalarType dtype_named(const Item& item) const;
  void need_known_dtype(const Item& item) const;
  [[noreturn]] void wrong(const Item& item, const char* wanted) const;
  [[noreturn]] void corrupt(const std::string& what) const;
  [[noreturn]] void unsupported(const std::string& what, const std::string& hint = {}) const;
  std::string at_byte(const std::string& what) const;

  const std::string& file_;
  const TensorMaker& make_tensor_;
  Budget& budget_;
  Graph graph_;
  size_t position_ = 0;
  size_t opcode_at_ = 0;
  std::vector<Item> stack_;
  std::vector<size_t> marks_;  // The stack's height at each.
  std::vector<Item> memo_;
};

}  // namespace checkpoint::format::pickle
