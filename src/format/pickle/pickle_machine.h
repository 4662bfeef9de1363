#pragma once

#include "format/pickle/pickle_graph.h"
#include "format/pickle/pickle_reader.h"

#include <checkpoint/error.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace checkpoint::format::pickle {

/// How many bytes of memory a pickle may still ask for. The budget depends on the pickle's size, so
/// a short file cannot ask for much.
class Budget {
 public:
  Budget(size_t pickle_bytes, const std::string& file);
  /// Takes `bytes` from the budget. Throws Error(unsupported) if it does not suffice.
  void charge(uint64_t bytes);

 private:
  const std::string& file_;
  uint64_t left_;
};

/// Whether a pickle may use a name. For pickles of one known kind, which need few names.
using AllowsName = std::function<bool(std::string_view module, std::string_view name)>;

/// The stack machine that runs a pickle's program. It knows the opcodes that LibTorch and Python
/// write for plain data, and makes a Graph. It never runs code from the file. Used once.
/// pickle_machine.cpp has the program and its stack, pickle_calls.cpp the calls,
/// pickle_tensors.cpp those that make tensors.
class Machine {
 public:
  /// All references must outlive the machine. If `allows` is given, any other name is refused, and
  /// so is a reference to something outside of the pickle.
  Machine(std::string_view bytes, const std::string& file, const TensorMaker& make_tensor,
          Budget& budget, AllowsName allows = {});

  /// Runs the program to its end, and returns the one cell that it leaves. Throws Error: corrupt,
  /// unsupported, each with the offset of the opcode.
  Cell run();

  const Graph& graph() const { return graph_; }
  /// After `run`: the length of the program in bytes.
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
  void push(Cell cell) { stack_.push_back(cell); }
  Cell pop();
  void pop_one();
  Cell& top();
  size_t take_mark();
  Cells last(size_t count) const;
  std::vector<Cell> pop_many(size_t count);

  // The opcodes that do more than push a number.
  void push_long(uint64_t width);
  void push_double();
  Text take_text(size_t length_bytes);
  void push_global(std::string_view module, std::string_view name);
  void push_storage();
  template <typename At>
  void push_node(std::vector<Cell> cells) {
    budget_.charge(sizeof(cells) + cells.size() * sizeof(Cell));
    graph_.nodes.push_back(std::move(cells));
    push(At{static_cast<uint32_t>(graph_.nodes.size() - 1)});
  }
  // Adds elements or entries to an object of an unknown class.
  template <typename At>
  void add_to(Cell& part, std::vector<Cell> cells) {
    if (std::holds_alternative<None>(part)) {
      budget_.charge(sizeof(cells));
      graph_.nodes.emplace_back();
      part = At{static_cast<uint32_t>(graph_.nodes.size() - 1)};
    }
    std::vector<Cell>& node = graph_.nodes[std::get<At>(part).index];
    node.insert(node.end(), cells.begin(), cells.end());
  }
  void push_tuple(size_t count);
  void put(uint64_t id);
  void get(uint64_t id);
  void append(std::vector<Cell> cells);
  void set_entries(std::vector<Cell> cells);
  void make_object();
  void make_object_with_keywords();
  void build();
  void reduce();

  // What calls of the known globals make.
  Cell call(Global global, const Cell& arguments);
  Cell call_known(Global global, Cells arguments);
  Cell make_opaque(Name name, const Cell& arguments);
  Name name_of_made(Name called, Cells arguments) const;
  bool is_unknown(const Cell& cell) const;
  Cell rebuild_old_tensor(Cells arguments);
  Cell rebuild_tensor(Cells arguments, size_t required);
  Cell add_tensor(const Cell& storage, std::optional<c10::ScalarType> dtype,
                  Cells offset_sizes_strides, bool requires_grad);
  Cell make_parameter(Cells arguments);
  Cell rebuild_from_cpu(Cells arguments);
  Cell rebuild_parameter(Cells arguments);
  Cell rebuild_from_type(Cells arguments);
  Cell require_grad(TensorAt at, bool requires_grad);
  void build_parameter(TensorAt at, const Cell& state);
  Cell ordered_dict(Cells arguments);
  Cell list_of(Cells arguments);
  Cell byte_array(Cells arguments);
  Cell make_device(Cells arguments);
  Cells tuple(const Cell& cell, const char* wanted) const;
  Cells elements(const Cell& cell, const char* wanted) const;
  Text text(const Cell& cell, const char* wanted) const;
  Dimensions dimensions(const Cell& tuple);
  void require_empty_dict(const Cell& cell, const char* what);
  // Returns the cell as a T. Throws an error that names `wanted` if it is not one.
  template <typename T>
  T as(const Cell& cell, const char* wanted) const {
    const T* value = std::get_if<T>(&cell);
    if (value == nullptr) wrong(cell, wanted);
    return *value;
  }

  c10::ScalarType dtype_of_storage(const Cell& cell) const;
  c10::ScalarType dtype_named(const Cell& cell) const;
  void need_known_dtype(const Cell& cell) const;
  [[noreturn]] void wrong(const Cell& cell, const char* wanted) const;
  [[noreturn]] void corrupt(const std::string& what) const;
  [[noreturn]] void unsupported(const std::string& what, const std::string& hint = {}) const;
  std::string at_byte(const std::string& what) const;

  const std::string& file_;
  const TensorMaker& make_tensor_;
  Budget& budget_;
  const AllowsName allows_;
  Graph graph_;
  size_t position_ = 0;
  size_t opcode_at_ = 0;
  std::vector<Cell> stack_;
  std::vector<size_t> marks_;  // The height of the stack at each mark.
  std::vector<Cell> memo_;
};

}  // namespace checkpoint::format::pickle
