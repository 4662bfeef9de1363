#pragma once

#include "base/digest.h"

#include <checkpoint/value.h>

#include <torch/torch.h>

#include <iomanip>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

namespace test {

namespace internal {

class Fingerprint {
 public:
  void add(const checkpoint::Value& value, const std::string& path) {
    using checkpoint::Value;
    lines_ << path << ": " << to_string(value.kind()) << ' ';
    switch (value.kind()) {
      case Value::Kind::kNone:
        break;
      case Value::Kind::kBool:
        lines_ << value.to_bool();
        break;
      case Value::Kind::kInt:
        lines_ << value.to_int();
        break;
      case Value::Kind::kDouble:
        add(value.to_double());
        break;
      case Value::Kind::kComplex:
        add(value.to_complex().real());
        add(value.to_complex().imag());
        break;
      case Value::Kind::kString:
        lines_ << std::quoted(value.to_string());
        break;
      case Value::Kind::kTensor:
        add(value.to_tensor());
        break;
      case Value::Kind::kList:
        return add_all(value.list(), path);
      case Value::Kind::kTuple:
        return add_all(value.tuple(), path);
      case Value::Kind::kDict:
        lines_ << value.dict().size() << '\n';
        for (const auto& [key, entry] : value.dict())
          add(entry, path + "." + checkpoint::to_string(key));
        return;
      case Value::Kind::kSize:
        for (const int64_t size : value.to_size()) lines_ << size << ' ';
        break;
      case Value::Kind::kDtype:
        lines_ << value.to_dtype();
        break;
      case Value::Kind::kOpaque:
        lines_ << std::quoted(value.opaque().class_name) << ' ';
        return add_all(value.opaque().parts, path);
      case Value::Kind::kDevice:
        lines_ << value.to_device();
        break;
      case Value::Kind::kBytes:
        lines_ << std::quoted(value.to_bytes());
        break;
      case Value::Kind::kBigInt:
        lines_ << std::quoted(value.to_big_int().bytes);
        break;
    }
    lines_ << '\n';
  }
  std::string text() const { return lines_.str(); }

 private:
  void add(double number) { lines_ << std::hexfloat << number << ' '; }

  void add(const torch::Tensor& tensor) {
    if (!tensor.defined()) {
      lines_ << "undefined";
      return;
    }
    const torch::Tensor plain = tensor.detach().cpu().contiguous();
    lines_ << tensor.scalar_type() << ' ' << tensor.sizes() << ' '
           << checkpoint::base::xxh3_128(plain.numel() > 0 ? plain.data_ptr() : nullptr,
                                         static_cast<size_t>(plain.numel()) * plain.element_size());
  }

  void add_all(const std::vector<checkpoint::Value>& values, const std::string& path) {
    lines_ << values.size() << '\n';
    for (size_t i = 0; i < values.size(); ++i) add(values[i], path + '.' + std::to_string(i));
  }

  std::ostringstream lines_;
};

}  // namespace internal

/// All that a tree holds, a line each, tensors by the digests of their bits: equal texts, equal
/// trees.
inline std::string fingerprint(const checkpoint::Value& tree) {
  internal::Fingerprint result;
  result.add(tree, "");
  return result.text();
}

}  // namespace test
