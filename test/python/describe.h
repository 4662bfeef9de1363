#pragma once

#include "base/hex.h"
#include "format/tree/dtype.h"

#include <checkpoint/value.h>

#include <torch/torch.h>

#include <cstring>
#include <string>
#include <vector>

namespace checkpoint {

/// One line for each value of a tree, as trees.py describes it in Python.
class Describer {
 public:
  std::string describe(const Value& tree) {
    add("", tree);
    return text_;
  }

 private:
  struct Place {
    std::string path;
    const char* begin;
    const char* end;
  };

  static std::string bits(double value) {
    std::string bytes(sizeof(value), '\0');
    std::memcpy(bytes.data(), &value, sizeof(value));
    return base::to_hex(std::string(bytes.rbegin(), bytes.rend()));
  }

  template <typename Numbers>
  static std::string joined(const Numbers& numbers) {
    std::string text;
    for (const int64_t number : numbers) text += (text.empty() ? "" : ",") + std::to_string(number);
    return text;
  }

  static size_t reach(const at::Tensor& tensor) {
    if (tensor.numel() == 0) return 0;
    int64_t last = 0;
    for (int64_t i = 0; i < tensor.dim(); ++i) last += (tensor.size(i) - 1) * tensor.stride(i);
    return static_cast<size_t>(last + 1) * tensor.element_size();
  }

  void line(const std::string& path, const std::string& what) {
    text_ += (path.empty() ? "/" : path) + ' ' + what + '\n';
  }

  void add_all(const std::string& path, const std::vector<Value>& items) {
    for (size_t i = 0; i < items.size(); ++i) add(path + '/' + std::to_string(i), items[i]);
  }

  void add(const std::string& path, const Value& value) {
    switch (value.kind()) {
      case Value::Kind::kNone:
        return line(path, "none");
      case Value::Kind::kBool:
        return line(path, value.to_bool() ? "bool true" : "bool false");
      case Value::Kind::kInt:
        return line(path, "int " + std::to_string(value.to_int()));
      case Value::Kind::kDouble:
        return line(path, "double " + bits(value.to_double()));
      case Value::Kind::kComplex:
        return line(path, "complex " + bits(value.to_complex().real()) + ' ' +
                              bits(value.to_complex().imag()));
      case Value::Kind::kString:
        return line(path, "string " + value.to_string());
      case Value::Kind::kTensor:
        return add_tensor(path, value.to_tensor());
      case Value::Kind::kList:
        line(path, "list " + std::to_string(value.list().size()));
        return add_all(path, value.list());
      case Value::Kind::kTuple:
        line(path, "tuple " + std::to_string(value.tuple().size()));
        return add_all(path, value.tuple());
      case Value::Kind::kDict:
        line(path, "dict " + std::to_string(value.dict().size()));
        for (const auto& [key, item] : value.dict()) {
          const bool number = std::holds_alternative<int64_t>(key);
          add(path + (number ? "/#" : "/") + to_string(key), item);
        }
        return;
      case Value::Kind::kSize:
        return line(path, "size " + joined(value.to_size()));
      case Value::Kind::kDtype:
        return line(path, "dtype " + format::dtype_name(value.to_dtype()));
      case Value::Kind::kDevice:
        return line(path, "device " + value.to_device().str());
      case Value::Kind::kBytes:
        return line(path, "bytes " + base::to_hex(value.to_bytes()));
      case Value::Kind::kBigInt:
        return line(path, "big " + base::to_hex(value.to_big_int().bytes));
      case Value::Kind::kOpaque:
        line(path, "opaque " + value.opaque().class_name);
        return add_all(path, value.opaque().parts);
    }
  }

  void add_tensor(const std::string& path, const at::Tensor& tensor) {
    const at::Tensor dense = tensor.detach().contiguous();
    const std::string bytes(static_cast<const char*>(dense.data_ptr()),
                            static_cast<size_t>(dense.numel()) * dense.element_size());
    std::string text = "tensor " + format::dtype_name(tensor.scalar_type()) + " [" +
                       joined(tensor.sizes()) + "] [" +
                       (tensor.numel() > 0 ? joined(tensor.strides()) : "any") + "] " +
                       (tensor.requires_grad() ? "true " : "false ") + base::to_hex(bytes);
    const auto* const begin = static_cast<const char*>(tensor.data_ptr());
    const char* const end = begin + reach(tensor);
    for (const Place& place : places_) {
      if (tensor.numel() == 0 || begin >= place.end || place.begin >= end) continue;
      text += " overlaps " + place.path + " at " + std::to_string(begin - place.begin);
      break;
    }
    if (tensor.numel() > 0) places_.push_back({path, begin, end});
    line(path, text);
  }

  std::string text_;
  std::vector<Place> places_;
};

inline std::string describe(const Value& tree) { return Describer().describe(tree); }

}  // namespace checkpoint
