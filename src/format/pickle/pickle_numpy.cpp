// NumPy's numbers and arrays in a pickle. The machine has left them as opaque objects: here their
// dtype, shape and bytes are found, and become values and tensors.

#include "format/pickle/pickle_numpy.h"

#include "format/pickle/utf8.h"
#include "format/tree/dtype.h"

#include <algorithm>
#include <cstring>

namespace checkpoint::format::pickle {

namespace {

constexpr size_t kMaxNumpyDimensions = 64;

std::optional<std::string_view> text_in(const Graph& graph, const Cell& cell) {
  if (const auto* text = std::get_if<Text>(&cell)) return graph.text(*text);
  if (const auto* text = std::get_if<OldText>(&cell)) return graph.text(text->text);
  return std::nullopt;
}

const OpaqueObject* object_in(const Graph& graph, const Cell& cell) {
  const auto* at = std::get_if<OpaqueAt>(&cell);
  return at != nullptr ? &graph.opaques[at->index] : nullptr;
}

Cells tuple_in(const Graph& graph, const Cell& cell) {
  const auto* at = std::get_if<TupleAt>(&cell);
  return at != nullptr ? graph.tuple(at->index) : Cells(nullptr, 0);
}

// Parses "f8": a letter, and the size in bytes. For texts ("U"), the size counts characters.
std::optional<NumpyType> parse_type(std::string_view text) {
  if (text.size() < 2 || text.size() > 8) return std::nullopt;
  NumpyType type{text[0], 0, false};
  for (const char c : text.substr(1)) {
    if (c < '0' || c > '9') return std::nullopt;
    type.width = type.width * 10 + (c - '0');
  }
  if (type.kind == 'U') type.width *= 4;
  return type;
}

// Finds the element type. The object is numpy.dtype("f8", False, True) with the state (3, "<",
// None, None, None, -1, -1, 0): the byte order, and what would make it a structure.
std::optional<NumpyType> find_type(const Graph& graph, const Cell& cell) {
  const OpaqueObject* const object = object_in(graph, cell);
  if (object == nullptr || object->name.module != "numpy" || object->name.name != "dtype") {
    return std::nullopt;
  }
  const Cells arguments = tuple_in(graph, object->arguments);
  const Cells state = tuple_in(graph, object->state);
  if (arguments.empty() || state.size() < 5) return std::nullopt;
  const auto text = text_in(graph, arguments[0]);
  const auto order = text_in(graph, state[1]);
  const bool plain = std::all_of(state.begin() + 2, state.begin() + 5, [](const Cell& part) {
    return std::holds_alternative<None>(part);
  });
  if (!text || !order || !plain) return std::nullopt;
  std::optional<NumpyType> type = parse_type(*text);
  if (type) type->big_endian = *order == ">";
  return type;
}

std::optional<std::vector<int64_t>> find_sizes(const Graph& graph, const Cell& cell) {
  if (!std::holds_alternative<TupleAt>(cell)) return std::nullopt;
  const Cells cells = tuple_in(graph, cell);
  if (cells.size() > kMaxNumpyDimensions) return std::nullopt;
  std::vector<int64_t> sizes;
  for (const Cell& size : cells) {
    const auto* number = std::get_if<int64_t>(&size);
    if (number == nullptr || *number < 0) return std::nullopt;
    sizes.push_back(*number);
  }
  return sizes;
}

bool holds_bytes(const Cell& cell) {
  return std::holds_alternative<BytesText>(cell) || std::holds_alternative<Latin1Text>(cell) ||
         std::holds_alternative<OldText>(cell);
}

std::optional<NumpyData> make_array(const Graph& graph, const Cell& type, const Cell& shape,
                                    bool fortran, const Cell& bytes) {
  const auto known = find_type(graph, type);
  auto sizes = find_sizes(graph, shape);
  if (!known || !sizes || !holds_bytes(bytes)) return std::nullopt;
  return NumpyData{*known, true, std::move(*sizes), fortran, bytes};
}

template <typename T>
T number_of(const std::string& bytes, size_t at = 0) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

std::optional<Value> integer_value(const std::string& bytes, bool is_signed) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data(), bytes.size());
  const size_t bits = 8 * bytes.size();
  const bool highest = (value >> (bits - 1)) != 0;
  if (is_signed) {
    if (highest && bits < 64) value |= ~uint64_t{0} << bits;
    return Value(static_cast<int64_t>(value));
  }
  if (bits == 64 && highest) return Value(BigInt{bytes + '\0'});
  return Value(static_cast<int64_t>(value));
}

std::optional<Value> float_value(const std::string& bytes) {
  switch (bytes.size()) {
    case 2:
      return Value(static_cast<double>(
          static_cast<float>(c10::Half(number_of<uint16_t>(bytes), c10::Half::from_bits()))));
    case 4:
      return Value(static_cast<double>(number_of<float>(bytes)));
    case 8:
      return Value(number_of<double>(bytes));
    default:
      return std::nullopt;
  }
}

std::optional<Value> complex_value(const std::string& bytes) {
  if (bytes.size() == 8) {
    return Value(c10::complex<double>(number_of<float>(bytes), number_of<float>(bytes, 4)));
  }
  if (bytes.size() == 16) {
    return Value(c10::complex<double>(number_of<double>(bytes), number_of<double>(bytes, 8)));
  }
  return std::nullopt;
}

// Decodes a text: four bytes for each character, padded with NULs.
std::optional<Value> text_value(const std::string& bytes) {
  std::string text;
  size_t end = 0;
  for (size_t at = 0; at + 4 <= bytes.size(); at += 4) {
    const auto character = number_of<uint32_t>(bytes, at);
    if (!append_utf8(text, character)) return std::nullopt;
    if (character != 0) end = text.size();
  }
  text.resize(end);
  return Value(std::move(text));
}

}  // namespace

std::optional<NumpyData> find_numpy(const Graph& graph, const OpaqueObject& object) {
  const std::string_view module = object.name.module;
  const Cells arguments = tuple_in(graph, object.arguments);
  if (module == "numpy.core.multiarray" || module == "numpy._core.multiarray") {
    if (object.name.name == "scalar" && arguments.size() == 2 && holds_bytes(arguments[1])) {
      const auto type = find_type(graph, arguments[0]);
      if (!type) return std::nullopt;
      return NumpyData{*type, false, {}, false, arguments[1]};
    }
    const Cells state = tuple_in(graph, object.state);
    if (object.name.name != "_reconstruct" || state.size() != 5) return std::nullopt;
    const auto* fortran = std::get_if<bool>(&state[3]);
    return fortran != nullptr ? make_array(graph, state[2], state[1], *fortran, state[4])
                              : std::nullopt;
  }
  const bool numeric = module == "numpy.core.numeric" || module == "numpy._core.numeric";
  if (!numeric || object.name.name != "_frombuffer" || arguments.size() != 4) return std::nullopt;
  const auto order = text_in(graph, arguments[3]);
  if (!order || (*order != "C" && *order != "F")) return std::nullopt;
  return make_array(graph, arguments[1], arguments[2], *order == "F", arguments[0]);
}

std::optional<Value> numpy_value(const NumpyType& type, std::string bytes) {
  if (type.kind == 'S') return Value(Bytes{std::move(bytes)});
  if (bytes.size() != static_cast<size_t>(type.width) || bytes.empty()) return std::nullopt;
  const size_t part = type.kind == 'U' ? 4 : type.kind == 'c' ? bytes.size() / 2 : bytes.size();
  if (type.big_endian) {
    for (size_t at = 0; part > 0 && at + part <= bytes.size(); at += part) {
      std::reverse(bytes.begin() + static_cast<int64_t>(at),
                   bytes.begin() + static_cast<int64_t>(at + part));
    }
  }
  switch (type.kind) {
    case 'b':
      return bytes.size() == 1 ? std::optional(Value(bytes[0] != 0)) : std::nullopt;
    case 'i':
    case 'u':
      if (bytes.size() > sizeof(int64_t)) return std::nullopt;
      return integer_value(bytes, type.kind == 'i');
    case 'f':
      return float_value(bytes);
    case 'c':
      return complex_value(bytes);
    case 'U':
      return text_value(bytes);
    default:
      return std::nullopt;
  }
}

std::optional<c10::ScalarType> numpy_dtype(const NumpyType& type) {
  const std::string bits = std::to_string(8 * type.width);
  switch (type.kind) {
    case 'b':
      return type.width == 1 ? find_dtype("bool") : std::nullopt;
    case 'i':
      return find_dtype("int" + bits);
    case 'u':
      return find_dtype("uint" + bits);
    case 'f':
      return find_dtype("float" + bits);
    case 'c':
      return find_dtype("complex" + bits);
    default:
      return std::nullopt;
  }
}

std::optional<std::vector<int64_t>> numpy_strides(const NumpyData& array, size_t bytes) {
  std::vector<int64_t> strides(array.sizes.size());
  int64_t elements = 1;
  int64_t stride = 1;
  for (size_t i = 0; i < strides.size(); ++i) {
    const size_t at = array.fortran ? i : strides.size() - 1 - i;
    strides[at] = stride;
    if (__builtin_mul_overflow(elements, array.sizes[at], &elements) ||
        __builtin_mul_overflow(stride, std::max<int64_t>(array.sizes[at], 1), &stride)) {
      return std::nullopt;
    }
  }
  int64_t wanted = 0;
  if (__builtin_mul_overflow(elements, array.type.width, &wanted) ||
      static_cast<uint64_t>(wanted) != bytes) {
    return std::nullopt;
  }
  return strides;
}

}  // namespace checkpoint::format::pickle
