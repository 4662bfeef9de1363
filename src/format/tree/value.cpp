// Value, Dict and their errors. A dict keeps the order of its entries in a vector; a long one also
// has an index: a table that is found by the hashes of keys.

#include "base/in_quotes.h"
#include "base/near_names.h"
#include "format/tree/opaque.h"
#include "format/tree/path.h"
#include "format/tree/scalar_text.h"

#include <checkpoint/error.h>
#include <checkpoint/value.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint {

std::string to_string(const Key& key) {
  if (const auto* text = std::get_if<std::string>(&key)) return *text;
  return std::to_string(std::get<int64_t>(key));
}

const char* to_string(Value::Kind kind) noexcept {
  switch (kind) {
    case Value::Kind::kNone:
      return "none";
    case Value::Kind::kBool:
      return "bool";
    case Value::Kind::kInt:
      return "int";
    case Value::Kind::kDouble:
      return "double";
    case Value::Kind::kComplex:
      return "complex";
    case Value::Kind::kString:
      return "string";
    case Value::Kind::kTensor:
      return "tensor";
    case Value::Kind::kList:
      return "list";
    case Value::Kind::kTuple:
      return "tuple";
    case Value::Kind::kDict:
      return "dict";
    case Value::Kind::kSize:
      return "size";
    case Value::Kind::kDtype:
      return "dtype";
    case Value::Kind::kDevice:
      return "device";
    case Value::Kind::kBytes:
      return "bytes";
    case Value::Kind::kBigInt:
      return "big int";
    case Value::Kind::kOpaque:
      return "opaque";
  }
  return "unknown";
}

namespace {

constexpr size_t kMostWithoutIndex = 8;

// Mixes with a number that no file can know, so that a hostile one cannot have keys that all want
// the same slot: the nanoseconds since the machine's start. The steps are those of MurmurHash3's
// 64-bit finalizer (Austin Appleby).
uint64_t hash_of(const Key& key) {
  static const auto secret =
      static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  uint64_t bits = std::hash<Key>()(key) ^ secret;
  bits = (bits ^ bits >> 33) * 0xff51afd7ed558ccd;
  bits = (bits ^ bits >> 33) * 0xc4ceb9fe1a85ec53;
  return bits ^ bits >> 33;
}

}  // namespace

// Defined here, where Value is complete.
Dict::Dict() = default;
Dict::Dict(const Dict&) = default;
Dict::Dict(Dict&&) noexcept = default;
Dict& Dict::operator=(const Dict&) = default;
Dict& Dict::operator=(Dict&&) noexcept = default;
Dict::~Dict() = default;

bool Dict::empty() const noexcept { return entries_.empty(); }

size_t Dict::size() const noexcept { return entries_.size(); }

Dict::Dict(std::initializer_list<std::pair<Key, Value>> entries) {
  for (const auto& [key, value] : entries) insert(key, value);
}

void Dict::set(Key key, Value value) {
  if (Value* const old = find(key)) {
    *old = std::move(value);
  } else {
    insert(std::move(key), std::move(value));
  }
}

void Dict::insert(Key key, Value value) {
  const size_t count = entries_.size() + 1;
  if (count == 1) entries_.reserve(4);
  // Before the entry is there: the memory may not suffice.
  if (count > kMostWithoutIndex && index_.size() < 2 * count) make_index(count);
  size_t* const slot = index_.empty() ? nullptr : &index_[slot_of(key)];
  if (slot != nullptr ? *slot != 0 : contains(key)) {
    throw Error(ErrorCode::kInvalidArgument, "the key '" + to_string(key) + "' is there already");
  }
  entries_.emplace_back(std::move(key), std::move(value));
  if (slot != nullptr) *slot = count;
}

// Makes room for twice as many entries.
void Dict::make_index(size_t count) {
  size_t slots = 4 * kMostWithoutIndex;
  while (slots < 4 * count) slots *= 2;
  index_.assign(slots, 0);
  for (size_t place = 0; place < entries_.size(); ++place) {
    index_[slot_of(entries_[place].first)] = place + 1;
  }
}

// Returns the slot that has the key, or the free one where it belongs.
size_t Dict::slot_of(const Key& key) const {
  const size_t last = index_.size() - 1;  // All bits are ones: the size is a power of two.
  size_t slot = hash_of(key) & last;
  while (index_[slot] != 0 && entries_[index_[slot] - 1].first != key) slot = (slot + 1) & last;
  return slot;
}

const Value* Dict::find(const Key& key) const {
  if (!index_.empty()) {
    const size_t number = index_[slot_of(key)];
    return number > 0 ? &entries_[number - 1].second : nullptr;
  }
  for (const auto& [known, value] : entries_) {
    if (known == key) return &value;
  }
  return nullptr;
}

Value* Dict::find(const Key& key) {
  return const_cast<Value*>(static_cast<const Dict&>(*this).find(key));
}

const Value& Dict::at(const Key& key) const {
  const Value* value = find(key);
  if (value == nullptr) {
    throw Error(ErrorCode::kNotFound, "no key '" + to_string(key) + "'");
  }
  return *value;
}

std::vector<std::pair<Key, Value>>::const_iterator Dict::begin() const { return entries_.begin(); }

std::vector<std::pair<Key, Value>>::const_iterator Dict::end() const { return entries_.end(); }

namespace {

[[noreturn]] void wrong_kind(const Value& value, Value::Kind wanted) {
  const bool opaque = value.kind() == Value::Kind::kOpaque;
  const std::string text = format::scalar_text(value);
  throw Error(
      ErrorCode::kIncompatible,
      (opaque ? "an " + kind_text(value) + ", which this library does not know,"
              : "a value of kind " + kind_text(value) + (text.empty() ? "" : " (" + text + ")")) +
          " found where one of kind " + to_string(wanted) + " is needed",
      "", 0, opaque ? format::what_to_do(value.opaque().class_name) : "");
}

template <typename T, typename Data>
auto& get_or_throw(Data& data, const Value& whole, Value::Kind wanted) {
  auto* value = std::get_if<T>(&data);
  if (value == nullptr) wrong_kind(whole, wanted);
  return *value;
}

double exact_double(int64_t integer) {
  const auto real = static_cast<double>(integer);
  // 2^63 fits in a double but not in an int64_t.
  if (real < 0x1p63 && static_cast<int64_t>(real) == integer) return real;
  throw Error(ErrorCode::kIncompatible,
              "the int " + std::to_string(integer) +
                  " found where a double is needed, and no double is equal to it");
}

}  // namespace

std::string kind_text(const Value& value) {
  if (value.kind() != Value::Kind::kOpaque) return to_string(value.kind());
  return "object of the class " + base::in_quotes(value.opaque().class_name);
}

const Opaque& Value::opaque() const { return get_or_throw<Opaque>(data_, *this, Kind::kOpaque); }

Opaque& Value::opaque() { return get_or_throw<Opaque>(data_, *this, Kind::kOpaque); }

bool Value::to_bool() const { return get_or_throw<bool>(data_, *this, Kind::kBool); }

int64_t Value::to_int() const { return get_or_throw<int64_t>(data_, *this, Kind::kInt); }

double Value::to_double() const {
  if (const auto* integer = std::get_if<int64_t>(&data_)) return exact_double(*integer);
  return get_or_throw<double>(data_, *this, Kind::kDouble);
}

c10::complex<double> Value::to_complex() const {
  return c10::complex<double>(get_or_throw<std::complex<double>>(data_, *this, Kind::kComplex));
}

void Value::refuse_integer(uint64_t value) {
  throw Error(ErrorCode::kInvalidArgument,
              "a Value holds integers up to 2^63 - 1, and this one is " + std::to_string(value), "",
              0, "Store it as text, or as the signed number of the same bits.");
}

const std::string& Value::to_string() const {
  return get_or_throw<std::string>(data_, *this, Kind::kString);
}

const at::Tensor& Value::to_tensor() const {
  return get_or_throw<at::Tensor>(data_, *this, Kind::kTensor);
}

const Value::List& Value::list() const { return get_or_throw<List>(data_, *this, Kind::kList); }

Value::List& Value::list() { return get_or_throw<List>(data_, *this, Kind::kList); }

const std::vector<Value>& Value::tuple() const {
  return get_or_throw<Tuple>(data_, *this, Kind::kTuple).items;
}

std::vector<Value>& Value::tuple() { return get_or_throw<Tuple>(data_, *this, Kind::kTuple).items; }

const Dict& Value::dict() const { return get_or_throw<Dict>(data_, *this, Kind::kDict); }

Dict& Value::dict() { return get_or_throw<Dict>(data_, *this, Kind::kDict); }

const std::vector<int64_t>& Value::to_size() const {
  return get_or_throw<Size>(data_, *this, Kind::kSize).sizes;
}

c10::ScalarType Value::to_dtype() const {
  return get_or_throw<c10::ScalarType>(data_, *this, Kind::kDtype);
}

c10::Device Value::to_device() const {
  return get_or_throw<c10::Device>(data_, *this, Kind::kDevice);
}

const std::string& Value::to_bytes() const {
  return get_or_throw<Bytes>(data_, *this, Kind::kBytes).bytes;
}

const BigInt& Value::to_big_int() const {
  return get_or_throw<BigInt>(data_, *this, Kind::kBigInt);
}

const Value& Value::operator[](const std::string& key) const {
  const Value* const value = dict().find(key);
  if (value != nullptr) return *value;
  throw Error(ErrorCode::kNotFound,
              "no key " + base::in_quotes(key) + base::instead_of(key, format::keys_of(dict())));
}

const Value& Value::operator[](int64_t index) const {
  if (is_dict()) return dict().at(index);
  const std::vector<Value>& items = kind() == Kind::kTuple ? tuple() : list();
  if (index >= 0 && static_cast<size_t>(index) < items.size()) {
    return items[static_cast<size_t>(index)];
  }
  throw Error(ErrorCode::kNotFound, "no element " + std::to_string(index) + ": there are " +
                                        std::to_string(items.size()));
}

bool Value::contains(const std::string& key) const { return is_dict() && dict().contains(key); }

}  // namespace checkpoint
