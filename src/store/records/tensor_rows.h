#pragma once

#include "base/json.h"
#include "store/records/tensor_table.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint::store {

/// Reads the tensors of a table while its text is parsed: each value goes into the TensorEntry
/// where it belongs. Skips fields that it does not know. Each function throws Error(corrupt) for
/// what makes no sense there.
class TensorRows final : public base::JsonRows {
 public:
  /// `path` is for error texts, and must outlive this.
  explicit TensorRows(const std::string& path) : path_(path) {}

  /// Returns the tensors, in the table's order.
  std::vector<TensorEntry> take() { return std::move(rows_); }

  void begin_object() override;
  void end_object() override;
  void begin_array() override;
  void end_array() override;
  void key(const std::string& name) override;
  void text(const std::string& value) override;
  void number(uint64_t value) override;
  void other() override;

 private:
  enum Field : unsigned {
    kKey,
    kDtype,
    kShape,
    kDevice,
    kFile,
    kOffset,
    kBytes,
    kDigest,
    kRank,
    kStrides,
    kParts,
    kAt,
    kUnknown
  };
  // The innermost thing that is being read.
  enum class Within { kNothing, kRow, kRowNumbers, kParts, kPart, kPartNumbers };

  Field field_named(const std::string& name) const;
  TensorEntry& row() { return rows_.back(); }
  TensorPart& part() { return row().parts.back(); }
  bool is_in_numbers() const {
    return within_ == Within::kRowNumbers || within_ == Within::kPartNumbers;
  }
  // Whether a value belongs to a field that this does not know, or to what is in one.
  bool is_skipped() const;
  std::vector<int64_t>* numbers_of_field();
  void add_number(uint64_t value);
  void end_row();
  void end_part();
  void require(Field field, unsigned seen) const;
  template <typename Place>
  void put_text(Place& place, const std::string& value);
  template <typename Place>
  void put_number(Place& place, uint64_t value);
  [[noreturn]] void refuse(const std::string& what) const;
  [[noreturn]] void refuse_kind() const;

  const std::string& path_;
  std::vector<TensorEntry> rows_;
  Within within_ = Within::kNothing;
  Field field_ = kUnknown;  // Of the row or the part.
  int skipped_ = 0;         // How many objects and arrays of unknown fields are open.
  unsigned in_row_ = 0;     // A bit for each field that the row has had,
  unsigned in_part_ = 0;    // and the part.
};

}  // namespace checkpoint::store
