// The rows of tensors.json, without a document in between: a table has one for each tensor, and a
// document would take some thirty allocations for it.

#include "store/records/tensor_rows.h"

#include "base/in_quotes.h"
#include "store/records/names.h"

#include <checkpoint/error.h>

#include <iterator>
#include <limits>
#include <optional>
#include <utility>

namespace checkpoint::store {
namespace {

// Many more than LibTorch computes with. So a short text cannot ask for much memory.
constexpr size_t kMaxDimensions = 1024;
constexpr size_t kUsualDimensions = 4;

struct FieldName {
  std::string_view name;
  const char* kind;
  bool is_of_part;
  bool is_of_row = true;
};

// In the order of TensorRows::Field.
constexpr FieldName kFields[] = {
    {"key", "a string", false},
    {"dtype", "a string", false},
    {"shape", "an array", true},
    {"device", "a string", false},
    {"file", "a string", true},
    {"offset", "a non-negative integer", true},
    {"bytes", "a non-negative integer", true},
    {"xxh3_128", "a string", true},
    {"rank", "a non-negative integer", false},
    {"strides", "an array", false},
    {"parts", "an array", false},
    {"at", "an array", true, false},
};

constexpr unsigned bit(unsigned field) { return 1u << field; }

}  // namespace

TensorRows::Field TensorRows::field_named(const std::string& name) const {
  for (unsigned i = 0; i < std::size(kFields); ++i) {
    if (kFields[i].name != name) continue;
    const bool is_here = within_ == Within::kPart ? kFields[i].is_of_part : kFields[i].is_of_row;
    return is_here ? static_cast<Field>(i) : kUnknown;
  }
  return kUnknown;
}

bool TensorRows::is_skipped() const {
  const bool is_value = within_ == Within::kRow || within_ == Within::kPart;
  return skipped_ > 0 || (is_value && field_ == kUnknown);
}

void TensorRows::key(const std::string& name) {
  if (skipped_ > 0) return;
  field_ = field_named(name);
  if (field_ == kUnknown) return;
  unsigned& seen = within_ == Within::kPart ? in_part_ : in_row_;
  if ((seen & bit(field_)) != 0) refuse("the field " + base::in_quotes(name) + " is there twice");
  seen |= bit(field_);
}

void TensorRows::begin_object() {
  if (is_skipped()) {
    ++skipped_;
  } else if (within_ == Within::kNothing) {
    rows_.emplace_back();
    within_ = Within::kRow;
    in_row_ = 0;
  } else if (within_ == Within::kParts) {
    row().parts.emplace_back();
    within_ = Within::kPart;
    in_part_ = 0;
  } else {
    refuse_kind();
  }
}

void TensorRows::end_object() {
  if (skipped_ > 0) {
    --skipped_;
  } else if (within_ == Within::kPart) {
    end_part();
    within_ = Within::kParts;
  } else {
    end_row();
    within_ = Within::kNothing;
  }
}

void TensorRows::begin_array() {
  if (is_skipped()) {
    ++skipped_;
  } else if (within_ == Within::kRow && field_ == kParts) {
    within_ = Within::kParts;
  } else if (numbers_of_field() != nullptr && !is_in_numbers()) {
    within_ = within_ == Within::kRow ? Within::kRowNumbers : Within::kPartNumbers;
  } else {
    refuse_kind();
  }
}

void TensorRows::end_array() {
  if (skipped_ > 0) {
    --skipped_;
  } else {
    within_ = within_ == Within::kPartNumbers ? Within::kPart : Within::kRow;
  }
}

void TensorRows::text(const std::string& value) {
  if (is_skipped()) return;
  if (within_ == Within::kPart) {
    put_text(part(), value);
  } else if (within_ != Within::kRow) {
    refuse_kind();  // Among numbers or parts.
  } else if (field_ == kKey) {
    row().key = value;
  } else if (field_ == kDtype) {
    row().dtype = value;
  } else if (field_ == kDevice) {
    row().device = value;
  } else {
    put_text(row(), value);
  }
}

void TensorRows::number(uint64_t value) {
  if (is_skipped()) return;
  if (is_in_numbers()) {
    add_number(value);
  } else if (within_ == Within::kPart) {
    put_number(part(), value);
  } else if (within_ != Within::kRow) {
    refuse_kind();
  } else if (field_ == kRank && value <= uint64_t{std::numeric_limits<int64_t>::max()}) {
    row().rank = static_cast<int64_t>(value);
  } else {
    put_number(row(), value);
  }
}

void TensorRows::other() {
  if (!is_skipped()) refuse_kind();
}

// Of the field that is being read; null if it holds something else.
std::vector<int64_t>* TensorRows::numbers_of_field() {
  if (within_ == Within::kParts) return nullptr;
  const bool is_part = within_ == Within::kPart || within_ == Within::kPartNumbers;
  if (field_ == kShape) return is_part ? &part().shape : &row().shape;
  if (field_ == kAt) return &part().at;
  return field_ == kStrides ? &row().strides : nullptr;
}

void TensorRows::add_number(uint64_t value) {
  if (value > uint64_t{std::numeric_limits<int64_t>::max()}) refuse_kind();
  std::vector<int64_t>& numbers = *numbers_of_field();
  if (numbers.size() == kMaxDimensions) {
    refuse("the field " + base::in_quotes(kFields[field_].name) + " has more than " +
           std::to_string(kMaxDimensions) + " numbers");
  }
  if (numbers.empty()) numbers.reserve(kUsualDimensions);
  numbers.push_back(static_cast<int64_t>(value));
}

// `Place` is a TensorEntry or a TensorPart.
template <typename Place>
void TensorRows::put_text(Place& place, const std::string& value) {
  if (field_ == kFile) {
    if (!is_plain_name(value)) refuse("the table names a file outside the checkpoint");
    place.file = value;
  } else if (field_ == kDigest) {
    const std::optional<base::Digest> digest = base::Digest::from(value);
    if (!digest) refuse("the field 'xxh3_128' is not a digest");
    place.xxh3_128 = *digest;
  } else {
    refuse_kind();
  }
}

template <typename Place>
void TensorRows::put_number(Place& place, uint64_t value) {
  if (field_ == kOffset) {
    place.offset = value;
  } else if (field_ == kBytes) {
    place.bytes = value;
  } else {
    refuse_kind();
  }
}

void TensorRows::end_row() {
  for (const Field field : {kKey, kDtype, kShape, kDevice}) require(field, in_row_);
  if ((in_row_ & bit(kParts)) == 0) {
    for (const Field field : {kFile, kOffset, kBytes, kDigest}) require(field, in_row_);
    return;
  }
  // The parts have the places, and the tensor none of its own.
  row().file.clear();
  row().offset = 0;
  row().xxh3_128 = {};
  row().bytes = 0;
  for (const TensorPart& part : row().parts) row().bytes += part.bytes;
}

void TensorRows::end_part() {
  for (const Field field : {kFile, kOffset, kBytes, kDigest, kAt, kShape}) require(field, in_part_);
}

void TensorRows::require(Field field, unsigned seen) const {
  if ((seen & bit(field)) != 0) return;
  refuse("the field " + base::in_quotes(kFields[field].name) + " is missing");
}

void TensorRows::refuse(const std::string& what) const {
  throw Error(ErrorCode::kCorrupt, what, path_);
}

void TensorRows::refuse_kind() const {
  if (is_in_numbers()) {
    refuse("the field " + base::in_quotes(kFields[field_].name) +
           " must hold sizes: integers from 0 to 2^63 - 1");
  }
  if (within_ == Within::kParts) refuse("the field 'parts' has an entry that is not an object");
  refuse("the field " + base::in_quotes(kFields[field_].name) + " is not " + kFields[field_].kind);
}

}  // namespace checkpoint::store
