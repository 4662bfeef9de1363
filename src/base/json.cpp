// JSON from files that may be damaged or hostile. nlohmann's parser gives events; DocumentBuilder
// makes the document of them. It checks depth and memory at each event, because a check of the
// finished document would come too late. JsonFields then reads the fields of an object, and its
// errors name the field.

#include "base/json.h"

#include "base/in_quotes.h"

#include <checkpoint/error.h>

#include <cmath>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

namespace checkpoint::base {
namespace {

using nlohmann::json;

// Our own documents are four levels deep.
constexpr size_t kMaxDepth = 16;

// The memory that a document may take, about. A text of two bytes ("0,") can ask for forty.
constexpr uint64_t kFreeBytes = uint64_t{8} << 20;
constexpr uint64_t kBytesForEachOfText = 4;
// The cost of a value in an array, which doubles as it grows; of an object's entry; of a heap
// block.
constexpr uint64_t kValueBytes = 3 * sizeof(json);
constexpr uint64_t kEntryBytes = 96;
constexpr uint64_t kBlockBytes = 64;

// Builds the document as nlohmann's own parser would, but with three limits. It limits the depth,
// because nlohmann's copy and destructor overflow the stack. It limits the memory. And it refuses
// an object with a field twice, of which nlohmann takes the last and other readers take the first.
class DocumentBuilder final : public JsonEvents {
 public:
  DocumentBuilder(size_t text_bytes, const std::string& path, JsonRows* rows)
      : path_(path),
        rows_(rows),
        left_(kFreeBytes + kBytesForEachOfText * static_cast<uint64_t>(text_bytes)) {}

  json take() { return std::move(document_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (in_row_ == 0) return add(value);
    rows_->number(value);
    return true;
  }
  bool string(string_t& value) override {
    if (in_row_ > 0) {
      rows_->text(value);
      return true;
    }
    spend(kBlockBytes + value.size());
    return add(std::move(value));
  }

  bool start_object(size_t) override {
    if (in_row_ == 0 && !is_at_row()) return open(json::object());
    enter_row_value();
    rows_->begin_object();
    return true;
  }
  bool start_array(size_t) override {
    if (in_row_ == 0) return open(json::array());
    enter_row_value();
    rows_->begin_array();
    return true;
  }
  bool end_array() override {
    if (in_row_ == 0) return close();
    --in_row_;
    rows_->end_array();
    return true;
  }
  bool end_object() override {
    if (in_row_ == 0) return close();
    --in_row_;
    rows_->end_object();
    return true;
  }
  bool key(string_t& value) override {
    if (in_row_ > 0) {
      rows_->key(value);
      return true;
    }
    if (open_.back()->contains(value)) refuse("has the field " + in_quotes(value) + " twice");
    spend(kEntryBytes + value.size());
    key_ = std::move(value);
    return true;
  }

 private:
  [[noreturn]] void malformed(size_t position, const std::string& reason) const override {
    refuse("cannot be read, at byte " + std::to_string(position) + ": " + in_quotes(reason));
  }

  // Whether an object that begins here is a row: an element of an array of the outermost object.
  bool is_at_row() const {
    return rows_ != nullptr && open_.size() == 2 && open_.back()->is_array();
  }

  void enter_row_value() {
    require_depth();
    ++in_row_;
  }

  bool add(json value) {
    if (in_row_ == 0) return place(std::move(value)) != nullptr;
    rows_->other();
    return true;
  }

  bool open(json container) {
    require_depth();
    spend(kBlockBytes);
    open_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  void require_depth() const {
    if (open_.size() + in_row_ <= kMaxDepth) return;
    refuse("is nested deeper than " + std::to_string(kMaxDepth) + " levels");
  }

  json* place(json value) {
    spend(kValueBytes);
    if (open_.empty()) return &(document_ = std::move(value));
    json& container = *open_.back();
    if (container.is_object()) return &(container[key_] = std::move(value));
    container.push_back(std::move(value));
    return &container.back();
  }

  void spend(uint64_t bytes) {
    if (bytes > left_) refuse("takes far more memory than its size allows");
    left_ -= bytes;
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorCode::kCorrupt, "the JSON " + what, path_);
  }

  const std::string& path_;
  JsonRows* const rows_;
  uint64_t left_;
  json document_;
  std::vector<json*> open_;  // Not complete yet, from the document inwards.
  size_t in_row_ = 0;        // How many objects and arrays of a row are open.
  std::string key_;
};

}  // namespace

void JsonEvents::read(const std::string& text) {
  constexpr char kByteOrderMark[] = "\xEF\xBB\xBF";
  if (text.compare(0, std::char_traits<char>::length(kByteOrderMark), kByteOrderMark) == 0) {
    malformed(1, "a byte-order mark; save the file as UTF-8 without it");
  }
  // A string must not hold the byte either: JSON writes it as an escape.
  const size_t nul = text.find('\0');
  if (nul != std::string::npos) malformed(nul + 1, "a NUL byte");
  json::sax_parse(text, this);
}

bool JsonEvents::binary(binary_t&) { return true; }  // JSON text does not contain binary values.

bool JsonEvents::parse_error(size_t position, const std::string&,
                             const nlohmann::json::exception& error) {
  // The reason repeats a token, which may be of any length.
  constexpr size_t kEnough = 120;
  const std::string_view reason = error.what();
  malformed(position, std::string(reason.substr(0, kEnough)));
  return false;  // Not reached, but the compiler cannot know that of a virtual call.
}

json parse_json(const std::string& text, const std::string& path, JsonRows* rows) {
  DocumentBuilder builder(text.size(), path, rows);
  builder.read(text);
  json document = builder.take();
  if (!document.is_object()) throw Error(ErrorCode::kCorrupt, "the JSON is not an object", path);
  return document;
}

std::string dump_json(const nlohmann::ordered_json& document, int indent) {
  try {
    return document.dump(indent);
  } catch (const json::exception& error) {
    throw Error(ErrorCode::kInvalidArgument,
                std::string("a name or text is not valid UTF-8: ") + error.what());
  }
}

JsonFields::JsonFields(const json& object, const std::string& path) : object_(object), path_(path) {
  if (!object.is_object()) throw Error(ErrorCode::kCorrupt, "an entry is not a JSON object", path);
}

std::string JsonFields::string(const std::string& field) const {
  const json& value = at(field);
  if (!value.is_string()) refuse(field, "a string");
  return value.get<std::string>();
}

int64_t JsonFields::integer(const std::string& field) const {
  const json& value = at(field);
  const bool fits = value.is_number_unsigned()
                        ? value.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()}
                        : value.is_number_integer();
  if (!fits) refuse(field, "a 64-bit integer");
  return value.get<int64_t>();
}

uint64_t JsonFields::size(const std::string& field) const {
  const json& value = at(field);
  if (!value.is_number_unsigned()) refuse(field, "a non-negative integer");
  return value.get<uint64_t>();
}

bool JsonFields::boolean(const std::string& field) const {
  const json& value = at(field);
  if (!value.is_boolean()) refuse(field, "true or false");
  return value.get<bool>();
}

const json& JsonFields::array(const std::string& field) const {
  const json& value = at(field);
  if (!value.is_array()) refuse(field, "an array");
  return value;
}

const json& JsonFields::object(const std::string& field) const {
  const json& value = at(field);
  if (!value.is_object()) refuse(field, "an object");
  return value;
}

double JsonFields::number(const std::string& field) const {
  const json& value = at(field);
  if (value.is_number()) return value.get<double>();
  if (value == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (value == "inf") return std::numeric_limits<double>::infinity();
  if (value == "-inf") return -std::numeric_limits<double>::infinity();
  refuse(field, "a number");
}

const json& JsonFields::at(const std::string& field) const {
  const auto found = object_.find(field);
  if (found == object_.end()) {
    throw Error(ErrorCode::kCorrupt, "the field " + in_quotes(field) + " is missing", path_);
  }
  return *found;
}

void JsonFields::refuse(const std::string& field, const char* wanted) const {
  throw Error(ErrorCode::kCorrupt, "the field " + in_quotes(field) + " is not " + wanted, path_);
}

int64_t json_count(const json& value, const char* field, const std::string& path) {
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!value.is_number_unsigned() || value.get<uint64_t>() > kMost) {
    throw Error(ErrorCode::kCorrupt,
                std::string("the field ") + in_quotes(field) +
                    " must hold sizes: integers from 0 to 2^63 - 1",
                path);
  }
  return value.get<int64_t>();
}

nlohmann::ordered_json json_number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

}  // namespace checkpoint::base
