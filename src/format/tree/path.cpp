#include "format/tree/path.h"

#include <checkpoint/error.h>

#include <vector>

namespace checkpoint::format {

std::string Path::text() const {
  if (above_ == nullptr) return root_ != nullptr ? *root_ : std::string();
  return dotted(above_->text(), key_ != nullptr ? to_string(*key_) : std::to_string(index_));
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
