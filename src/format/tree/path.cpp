#include "format/tree/path.h"

#include <checkpoint/error.h>

#include <cstdint>
#include <limits>
#include <variant>
#include <vector>

namespace checkpoint::format {

std::string Path::text() const {
  std::string text;
  text.reserve(most_characters());
  append_to(text);
  return text;
}

// So that a text is allocated once: there are as many as there are tensors.
size_t Path::most_characters() const {
  constexpr size_t kDotAndNumber = 1 + std::numeric_limits<int64_t>::digits10 + 2;
  if (above_ == nullptr) return root_ != nullptr ? root_->size() : 0;
  const auto* const name = key_ != nullptr ? std::get_if<std::string>(key_) : nullptr;
  return above_->most_characters() + (name != nullptr ? 1 + name->size() : kDotAndNumber);
}

void Path::append_to(std::string& text) const {
  if (above_ == nullptr) {
    if (root_ != nullptr) text += *root_;
    return;
  }
  above_->append_to(text);
  if (!text.empty()) text += '.';
  if (key_ == nullptr) {
    text += std::to_string(index_);
  } else if (const auto* const name = std::get_if<std::string>(key_)) {
    text += *name;
  } else {
    text += to_string(*key_);
  }
}

const Value* Path::find_in(const Value& tree) const {
  if (above_ == nullptr) return &tree;
  const Value* const in = above_->find_in(tree);
  if (in == nullptr) return nullptr;
  if (key_ != nullptr) return in->is_dict() ? in->dict().find(*key_) : nullptr;
  const bool is_list = in->kind() == Value::Kind::kList;
  const bool is_opaque = in->kind() == Value::Kind::kOpaque;
  if (!is_list && !is_opaque && in->kind() != Value::Kind::kTuple) return nullptr;
  const std::vector<Value>& entries = is_list     ? in->list()
                                      : is_opaque ? in->opaque().parts
                                                  : in->tuple();
  return index_ < entries.size() ? &entries[index_] : nullptr;
}

void Path::check_depth() const {
  if (depth_ <= kMaxDepth) return;
  throw Error(ErrorCode::kUnsupported,
              "'" + text() + "' is nested deeper than " + std::to_string(kMaxDepth) + " levels", "",
              0, "Make the tree of modules or values flatter, or save its parts as items.");
}

}  // namespace checkpoint::format
