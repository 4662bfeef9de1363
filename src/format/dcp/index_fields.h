#pragma once

#include "format/pickle/pickle_machine.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The objects of an index as its pickle describes them: classes with named fields.

namespace checkpoint::format::dcp {

/// Whether an index may use a name. This is the whole list.
bool allows(std::string_view module, std::string_view name);

/// Returns whether `name` is PyTorch's class of that name: in 1.13, or in 2.0 and later.
bool is_class(const pickle::Name& name, std::string_view short_name);

/// Reads cells of a decoded index. Every function throws Error(corrupt) if the cell is of another
/// kind; `what` says then what it should be, with its key: "the size of 'a.weight'". What is copied
/// is charged to the budget. The references must outlive this.
class IndexCells {
 public:
  IndexCells(const pickle::Graph& graph, pickle::Budget& budget, const std::string& file)
      : graph_(graph), budget_(budget), file_(file) {}

  /// The fields of an object, in the order of the file.
  class Fields {
   public:
    /// Returns a field. Throws Error(corrupt) if it is missing.
    const pickle::Cell& at(std::string_view name) const;
    /// Returns a field, or null.
    const pickle::Cell* find(std::string_view name) const;
    /// Throws Error(unsupported) for a field that is not in the list, unless it is None: it may
    /// change what the others mean.
    void only(std::initializer_list<std::string_view> known) const;

   private:
    friend class IndexCells;
    Fields(const IndexCells& cells, std::string owner) : cells_(cells), owner_(std::move(owner)) {}

    const IndexCells& cells_;
    const std::string owner_;
    std::vector<std::pair<std::string_view, pickle::Cell>> fields_;
  };

  /// Returns the object of one of PyTorch's classes.
  const pickle::OpaqueObject& object(const pickle::Cell& cell, std::string_view short_name,
                                     const std::string& what) const;
  /// Returns the fields of such an object. `may_be_empty`: the class has no fields.
  Fields fields(const pickle::Cell& cell, std::string_view short_name, const std::string& what,
                bool may_be_empty = false) const;
  /// Returns key and value by turns.
  const std::vector<pickle::Cell>& dict(const pickle::Cell& cell, const std::string& what) const;
  const std::vector<pickle::Cell>& list(const pickle::Cell& cell, const std::string& what) const;
  pickle::Cells tuple(const pickle::Cell& cell, const std::string& what) const;
  std::string_view text(const pickle::Cell& cell, const std::string& what) const;
  /// Returns a copy, which is charged.
  std::string string(const pickle::Cell& cell, const std::string& what) const;
  int64_t integer(const pickle::Cell& cell, const std::string& what) const;
  /// Returns the numbers of a torch.Size. None of them is negative.
  std::vector<int64_t> size(const pickle::Cell& cell, const std::string& what) const;

  const pickle::Graph& graph() const { return graph_; }
  pickle::Budget& budget() const { return budget_; }
  [[noreturn]] void corrupt(const std::string& what) const;
  [[noreturn]] void unsupported(const std::string& what, const std::string& hint = {}) const;

 private:
  const pickle::Graph& graph_;
  pickle::Budget& budget_;
  const std::string& file_;
};

}  // namespace checkpoint::format::dcp
