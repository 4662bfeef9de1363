// Finds the optimizers' tensors that no item holds. Tensors are compared by memory: an item may
// hold a view of what an optimizer trains. If the user's own code captured an item, it may have
// written copies, so equal shapes count too.

#include "state/snapshot/unsaved.h"

#include "base/shape_text.h"
#include "format/tree/path.h"

#include <algorithm>
#include <utility>

namespace checkpoint::state {
namespace {

constexpr size_t kMostShapes = 6;

// Returns an address that all views of the same memory share.
const void* memory_of(const at::Tensor& tensor) {
  return tensor.has_storage() ? static_cast<const void*>(tensor.storage().unsafeGetStorageImpl())
                              : tensor.unsafeGetTensorImpl();
}

// Returns whether the user's own code captured the item. It may then hold copies of live tensors.
bool may_hold_copies(const std::string& kind) {
  return kind == "object" || kind == "archive" || kind == "value";
}

std::string line_for(const std::string& optimizer, const std::vector<std::string>& shapes) {
  std::string text = '\'' + optimizer + "' trains " +
                     (shapes.size() == 1 ? "a tensor that no item of the State holds, of the shape "
                                         : std::to_string(shapes.size()) +
                                               " tensors that no item of the State holds, of the "
                                               "shapes ");
  for (size_t i = 0; i < std::min(shapes.size(), kMostShapes); ++i) {
    text += (i == 0 ? "" : ", ") + shapes[i];
  }
  if (shapes.size() > kMostShapes) text += ", ...";
  return text +
         ": register them in a module of the State (register_module, register_parameter), or add "
         "the object that holds them to the State";
}

}  // namespace

void Unsaved::look_at(const Item& item, const Value& live) {
  const bool copies = may_hold_copies(item.entry().kind);
  format::for_each_tensor(live, format::Path(), [&](const Value& entry, const auto&) {
    const at::Tensor& tensor = entry.to_tensor();
    if (!tensor.defined()) return;
    hold(tensor);
    if (copies) shapes_.insert(base::shape_text(tensor.sizes()));
  });
  for (const at::Tensor& tensor : item.answers_for(live)) hold(tensor);
  std::vector<at::Tensor> trained = item.trained();
  if (!trained.empty()) trained_.push_back({item.name(), std::move(trained)});
  for (std::string& line : item.unsaved(live)) said_by_items_.push_back(std::move(line));
}

std::vector<std::string> Unsaved::lines() const {
  std::vector<std::string> lines = said_by_items_;
  for (const Trained& trained : trained_) {
    std::vector<std::string> shapes;
    for (const at::Tensor& tensor : trained.tensors) {
      if (!is_held(tensor)) shapes.push_back(base::shape_text(tensor.sizes()));
    }
    if (!shapes.empty()) lines.push_back(line_for(trained.optimizer, shapes));
  }
  return lines;
}

void Unsaved::hold(const at::Tensor& tensor) { memory_.insert(memory_of(tensor)); }

bool Unsaved::is_held(const at::Tensor& tensor) const {
  // A tensor that needs no gradient is not trained.
  return !tensor.defined() || !tensor.requires_grad() || memory_.count(memory_of(tensor)) != 0 ||
         shapes_.count(base::shape_text(tensor.sizes())) != 0;
}

}  // namespace checkpoint::state
