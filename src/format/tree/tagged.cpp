#include "format/tree/tagged.h"

#include "base/hex.h"
#include "format/tree/dtype.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

namespace checkpoint::format {

namespace {

const std::string kTagPrefix = "torch_checkpoint.";

Value pair(const char* kind, Value content) {
  return Tuple{{kTagPrefix + kind, std::move(content)}};
}

std::optional<Value> from_text(const std::string& kind, const std::string& text) {
  if (kind == "dtype") {
    const auto dtype = find_dtype(text);
    return dtype ? std::optional<Value>(*dtype) : std::nullopt;
  }
  if (kind == "device") {
    try {
      return Value(c10::Device(text));
    } catch (const std::exception&) {
      return std::nullopt;
    }
  }
  const auto bytes = base::from_hex(text);
  if (bytes && kind == "bytes") return Value(Bytes{*bytes});
  if (bytes && kind == "int") return Value(BigInt{*bytes});
  return std::nullopt;
}

}  // namespace

Value to_tagged(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kSize:
      return pair("size", Value::List(value.to_size().begin(), value.to_size().end()));
    case Value::Kind::kDtype:
      return pair("dtype", dtype_name(value.to_dtype()));
    case Value::Kind::kDevice:
      return pair("device", value.to_device().str());
    case Value::Kind::kBytes:
      return pair("bytes", base::to_hex(value.to_bytes()));
    case Value::Kind::kBigInt:
      return pair("int", base::to_hex(value.to_big_int().bytes));
    default:
      return value;
  }
}

std::optional<Value> from_tagged(const std::vector<Value>& items) {
  if (items.size() != 2 || items[0].kind() != Value::Kind::kString) return std::nullopt;
  const std::string& tag = items[0].to_string();
  if (tag.compare(0, kTagPrefix.size(), kTagPrefix) != 0) return std::nullopt;
  const std::string kind = tag.substr(kTagPrefix.size());
  if (items[1].kind() == Value::Kind::kString) return from_text(kind, items[1].to_string());
  if (kind != "size" || items[1].kind() != Value::Kind::kList) return std::nullopt;
  Size size;
  for (const Value& item : items[1].list()) {
    if (item.kind() != Value::Kind::kInt) return std::nullopt;
    size.sizes.push_back(item.to_int());
  }
  return Value(std::move(size));
}

}  // namespace checkpoint::format
