// The header of a safetensors file: JSON that names each tensor, its dtype, shape and place. It is
// read event by event, with the limits of the reference implementation, and then the places are
// checked: the tensors must fill the file without a gap. Only of a valid file is asked whether this
// LibTorch has its dtypes.

#include "format/safetensors/safetensors_header.h"

#include "base/in_quotes.h"
#include "base/json.h"
#include "base/little_endian.h"
#include "format/tree/dtype.h"

#include <checkpoint/error.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <limits>
#include <tuple>
#include <unordered_set>
#include <utility>

namespace checkpoint::format {

namespace {

constexpr uint64_t kLengthBytes = 8;
// The limit of the reference implementation.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxDimensions = 64;
constexpr char kMetadata[] = "__metadata__";
constexpr char kBlanks[] = " \t\n\r";  // The whitespace of JSON.
// The nesting limit of the reference implementation's parser, the header itself included.
constexpr size_t kMaxHeaderDepth = 127;

// One dtype: its names, and the size of an element.
struct DtypeName {
  const char* safetensors;
  const char* python;
  unsigned bits;
};

// One element of this dtype is two numbers of four bits.
constexpr std::string_view kPairDtype = "float4_e2m1fn_x2";

// In the order of the reference implementation. An empty Python name marks a dtype that LibTorch
// does not have.
constexpr DtypeName kDtypes[] = {
    {"BOOL", "bool", 8},
    {"F4", "float4_e2m1fn_x2", 4},
    {"F6_E2M3", "", 6},
    {"F6_E3M2", "", 6},
    {"U8", "uint8", 8},
    {"I8", "int8", 8},
    {"F8_E5M2", "float8_e5m2", 8},
    {"F8_E4M3", "float8_e4m3fn", 8},
    {"F8_E8M0", "float8_e8m0fnu", 8},
    {"F8_E4M3FNUZ", "float8_e4m3fnuz", 8},
    {"F8_E5M2FNUZ", "float8_e5m2fnuz", 8},
    {"I16", "int16", 16},
    {"U16", "uint16", 16},
    {"F16", "float16", 16},
    {"BF16", "bfloat16", 16},
    {"I32", "int32", 32},
    {"U32", "uint32", 32},
    {"F32", "float32", 32},
    {"C64", "complex64", 64},
    {"F64", "float64", 64},
    {"I64", "int64", 64},
    {"U64", "uint64", 64},
};

// A tensor as the header describes it. Its entry has no dtype yet, and the shape of the header.
struct Described {
  SafetensorsEntry entry;
  const DtypeName* dtype;
};

// Parses the header's JSON event by event, so nothing unexpected is ever built. Ignores unknown
// fields of a tensor, whatever they hold, as the reference implementation does.
class HeaderParser final : public base::JsonEvents {
 public:
  HeaderParser(SafetensorsHeader& header, std::vector<Described>& tensors, const std::string& file)
      : header_(header), tensors_(tensors), file_(file) {}

  bool start_object(std::size_t) override {
    switch (place_) {
      case Place::kOutside:
        place_ = Place::kHeader;
        return true;
      case Place::kTensorBegin:
        place_ = Place::kTensor;
        seen_ = 0;
        return true;
      case Place::kMetadataBegin:
        place_ = Place::kMetadata;
        return true;
      case Place::kIgnored:
        return begin_ignored();
      default:
        fail("unexpected object");
    }
  }

  bool end_object() override {
    if (place_ == Place::kIgnored) return end_ignored();
    if (place_ == Place::kTensor) {
      if (seen_ != kAllFields)
        fail("the tensor " + base::in_quotes(entry_.name) + " lacks a field");
      tensors_.push_back({std::move(entry_), dtype_});
    }
    place_ = place_ == Place::kHeader ? Place::kOutside : Place::kHeader;
    return true;
  }

  bool key(std::string& name) override {
    switch (place_) {
      case Place::kHeader:
        if (!names_.insert(name).second) fail("the name " + base::in_quotes(name) + " comes twice");
        place_ = name == kMetadata ? Place::kMetadataBegin : Place::kTensorBegin;
        entry_ = SafetensorsEntry{};
        entry_.name = std::move(name);
        return true;
      case Place::kMetadata:
        metadata_key_ = std::move(name);
        return true;
      case Place::kIgnored:
        return true;
      default:
        begin_field(name);
        return true;
    }
  }

  bool string(std::string& text) override {
    if (place_ == Place::kMetadata) {
      if (!header_.metadata.emplace(metadata_key_, std::move(text)).second) {
        fail("the metadata has " + base::in_quotes(metadata_key_) + " twice");
      }
      return true;
    }
    if (is_ignored_value()) return true;
    if (place_ != Place::kDtype) fail("unexpected text");
    dtype_ = find_dtype_of(text);
    place_ = Place::kTensor;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::kIgnored) return begin_ignored();
    if (place_ != Place::kShape && place_ != Place::kOffsets) {
      fail("unexpected array");
    }
    if (in_array_) fail("unexpected array in an array");
    in_array_ = true;
    numbers_.clear();
    return true;
  }

  bool number_unsigned(number_unsigned_t number) override {
    if (is_ignored_value()) return true;
    if (!in_array_) fail("unexpected number");
    if (numbers_.size() >= kMaxDimensions) {
      fail("the tensor " + base::in_quotes(entry_.name) + " has too many dimensions");
    }
    numbers_.push_back(number);
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kIgnored) return end_ignored();
    in_array_ = false;
    if (place_ == Place::kShape) {
      for (const uint64_t size : numbers_) {
        if (size > uint64_t{std::numeric_limits<int64_t>::max()}) {
          fail("the tensor " + base::in_quotes(entry_.name) + " has an impossible shape");
        }
        entry_.shape.push_back(static_cast<int64_t>(size));
      }
    } else {
      if (numbers_.size() != 2) {
        fail("the tensor " + base::in_quotes(entry_.name) + " has not two offsets");
      }
      entry_.begin = numbers_[0];
      entry_.end = numbers_[1];
    }
    place_ = Place::kTensor;
    return true;
  }

  bool null() override {
    if (is_ignored_value()) return true;
    if (place_ != Place::kMetadataBegin) fail("unexpected null");
    place_ = Place::kHeader;  // Means: without metadata.
    return true;
  }

  bool boolean(bool) override {
    if (is_ignored_value()) return true;
    fail("unexpected truth value");
  }

  bool number_integer(number_integer_t) override {
    if (is_ignored_value()) return true;
    fail("it has a negative number");
  }

  bool number_float(number_float_t, const string_t&) override {
    if (is_ignored_value()) return true;
    fail("a number in it is not a 64-bit integer");
  }

 private:
  enum class Place {
    kOutside,
    kHeader,
    kTensorBegin,
    kTensor,
    kDtype,
    kShape,
    kOffsets,
    kIgnored,
    kMetadataBegin,
    kMetadata
  };
  static constexpr unsigned kAllFields = 7;

  [[noreturn]] void malformed(size_t position, const std::string&) const override {
    fail("it is not JSON from byte " + std::to_string(position) + " on");
  }

  void begin_field(const std::string& name) {
    if (place_ != Place::kTensor) fail("unexpected name");
    unsigned field = 0;
    if (name == "dtype") {
      field = 1;
      place_ = Place::kDtype;
    } else if (name == "shape") {
      field = 2;
      place_ = Place::kShape;
    } else if (name == "data_offsets") {
      field = 4;
      place_ = Place::kOffsets;
    } else {
      place_ = Place::kIgnored;
      return;
    }
    if ((seen_ & field) != 0) {
      fail("the tensor " + base::in_quotes(entry_.name) + " has " + base::in_quotes(name) +
           " twice");
    }
    seen_ |= field;
  }

  bool begin_ignored() {
    constexpr size_t kHeaderAndTensor = 2;
    if (++ignored_depth_ + kHeaderAndTensor > kMaxHeaderDepth) {
      fail("the tensor " + base::in_quotes(entry_.name) + " has a field that is nested too deep");
    }
    return true;
  }

  bool end_ignored() {
    if (--ignored_depth_ == 0) place_ = Place::kTensor;
    return true;
  }

  // Whether a value that is not an array or object is ignored. If it is the whole value of its
  // field, the field ends with it.
  bool is_ignored_value() {
    if (place_ != Place::kIgnored) return false;
    if (ignored_depth_ == 0) place_ = Place::kTensor;
    return true;
  }

  const DtypeName* find_dtype_of(const std::string& text) const {
    for (const DtypeName& known : kDtypes) {
      if (text == known.safetensors) return &known;
    }
    fail("the tensor " + base::in_quotes(entry_.name) + " is of the unknown dtype " +
         base::in_quotes(text));
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::kCorrupt, "the safetensors header cannot be read: " + what, file_);
  }

  SafetensorsHeader& header_;
  std::vector<Described>& tensors_;
  const std::string& file_;
  Place place_ = Place::kOutside;
  bool in_array_ = false;
  size_t ignored_depth_ = 0;
  unsigned seen_ = 0;
  SafetensorsEntry entry_;
  const DtypeName* dtype_ = nullptr;
  std::string metadata_key_;
  std::vector<uint64_t> numbers_;
  std::unordered_set<std::string> names_;
};

// Returns the size of a tensor in bytes. Throws Error(corrupt) if it is not a whole number.
uint64_t bytes_of(const Described& tensor, const std::string& name,
                  const store::ByteSource& source) {
  uint64_t bits = tensor.dtype->bits;
  for (const int64_t size : tensor.entry.shape) {
    if (__builtin_mul_overflow(bits, static_cast<uint64_t>(size), &bits)) {
      store::throw_corrupt(name + " has an impossible shape", source);
    }
  }
  if (bits % 8 != 0) {
    store::throw_corrupt(name + " of " + tensor.dtype->safetensors + " has " +
                             std::to_string(bits) + " bits, which are not whole bytes",
                         source);
  }
  return bits / 8;
}

// Checks that the tensors fill the bytes after the header, one after the other.
void check_places(const std::vector<Described>& tensors, uint64_t data_offset,
                  const store::ByteSource& source) {
  const uint64_t data_bytes = source.size() - data_offset;
  uint64_t position = 0;
  for (const Described& tensor : tensors) {
    const SafetensorsEntry& entry = tensor.entry;
    const std::string name = "the tensor " + base::in_quotes(entry.name);
    if (entry.begin != position || entry.end < entry.begin) {
      store::throw_corrupt(name + " overlaps another one, or leaves a gap", source);
    }
    if (bytes_of(tensor, name, source) != entry.end - entry.begin) {
      store::throw_corrupt(name + " has another number of bytes than its shape and dtype say",
                           source);
    }
    if (entry.end > data_bytes)
      store::throw_corrupt(name + " reaches beyond the end of the file", source);
    position = entry.end;
  }
  if (position != data_bytes) store::throw_corrupt("bytes follow the last tensor", source);
}

// Whether one element in LibTorch is a pair of those in the file.
bool is_pair(const DtypeName& dtype) { return std::string_view(dtype.python) == kPairDtype; }

// Gives a tensor the dtype and shape that it has in LibTorch.
SafetensorsEntry to_libtorch(Described tensor, const std::string& file) {
  const std::string name = "the tensor " + base::in_quotes(tensor.entry.name);
  const std::string text = tensor.dtype->safetensors;
  const std::optional<c10::ScalarType> dtype = find_dtype(tensor.dtype->python);
  if (!dtype) {
    throw Error(ErrorCode::kUnsupported,
                name + " is of the dtype " + text + ", which this LibTorch does not have", file);
  }
  tensor.entry.dtype = *dtype;
  if (!is_pair(*tensor.dtype)) return std::move(tensor.entry);
  std::vector<int64_t>& shape = tensor.entry.shape;
  if (shape.empty() || shape.back() % 2 != 0) {
    throw Error(ErrorCode::kUnsupported,
                name + " of " + text + " has " +
                    (shape.empty() ? "no dimension" : "an odd last dimension") +
                    ", and LibTorch keeps two such numbers in one element",
                file);
  }
  shape.back() /= 2;
  return std::move(tensor.entry);
}

const DtypeName* find_name(c10::ScalarType dtype) {
  const std::string python = dtype_name(dtype);
  const auto* found = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                   [&](const DtypeName& name) { return python == name.python; });
  return found == std::end(kDtypes) ? nullptr : found;
}

}  // namespace

bool looks_like_safetensors(std::string_view begin, uint64_t file_bytes) {
  if (begin.size() <= kLengthBytes) return false;
  const uint64_t header_bytes = base::read_little_endian(begin.data(), kLengthBytes);
  if (header_bytes > file_bytes - kLengthBytes) return false;
  const std::string_view header = begin.substr(kLengthBytes, header_bytes);
  const size_t first = header.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return header.size() < header_bytes;
  return header[first] == '{';
}

SafetensorsHeader read_safetensors_header(const store::ByteSource& source) {
  const uint64_t file_bytes = source.size();
  if (file_bytes < kLengthBytes)
    store::throw_corrupt("the file is too short to be a safetensors file", source);
  char length[kLengthBytes];
  source.read_at(0, length, sizeof(length));
  const uint64_t header_bytes = base::read_little_endian(length, kLengthBytes);
  if (header_bytes > file_bytes - kLengthBytes) {
    store::throw_corrupt("the safetensors header claims to be longer than the file", source);
  }
  if (header_bytes > kMaxHeaderBytes) {
    throw Error(ErrorCode::kUnsupported, "the safetensors header is longer than 100 MB",
                source.name());
  }
  std::string text(header_bytes, '\0');
  source.read_at(kLengthBytes, text.data(), text.size());
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string::npos || text[first] != '{') {
    store::throw_corrupt("the safetensors header is not a JSON object", source);
  }

  SafetensorsHeader header;
  header.data_offset = kLengthBytes + header_bytes;
  std::vector<Described> tensors;
  HeaderParser parser(header, tensors, source.name());
  parser.read(text);
  std::sort(tensors.begin(), tensors.end(), [](const Described& one, const Described& other) {
    const SafetensorsEntry &left = one.entry, &right = other.entry;
    return std::tie(left.begin, left.end, left.name) < std::tie(right.begin, right.end, right.name);
  });
  check_places(tensors, header.data_offset, source);
  for (Described& tensor : tensors) {
    header.tensors.push_back(to_libtorch(std::move(tensor), source.name()));
  }
  return header;
}

const char* safetensors_dtype(c10::ScalarType dtype) {
  const DtypeName* name = find_name(dtype);
  return name == nullptr ? nullptr : name->safetensors;
}

std::vector<int64_t> safetensors_shape(const std::string& name, c10::ScalarType dtype,
                                       std::vector<int64_t> shape) {
  const DtypeName* const known = find_name(dtype);
  if (known == nullptr || !is_pair(*known)) return shape;
  if (shape.empty() || __builtin_mul_overflow(shape.back(), 2, &shape.back())) {
    throw Error(ErrorCode::kUnsupported,
                "the tensor " + base::in_quotes(name) + " of " + known->python +
                    " has no last dimension, which safetensors needs",
                "", 0, "Reshape it to one dimension.");
  }
  return shape;
}

int safetensors_rank(c10::ScalarType dtype) {
  const DtypeName* name = find_name(dtype);
  return name == nullptr ? -1 : static_cast<int>(name - std::begin(kDtypes));
}

}  // namespace checkpoint::format
