// A module whose type overrides `save` or `load`. What its save writes now is compared with what
// was saved, then its load is called. LibTorch's load gives the tensors other memory. KeptTensors
// moves the loaded elements into the old memory, so that views and optimizers still refer to it. It
// can also undo the load.

#include "state/items/custom_module.h"

#include "compat/torch_compat.h"
#include "state/items/custom_save_load.h"
#include "state/items/module_members.h"
#include "state/plan/item.h"

#include <torch/torch.h>

#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

namespace checkpoint::state {
namespace {

using torch::nn::Module;

CustomSaveLoad custom_save_load(Module& module, const std::string& path) {
  return CustomSaveLoad(
      path, [&module](torch::serialize::OutputArchive& archive) { module.save(archive); },
      [&module](torch::serialize::InputArchive& archive) { module.load(archive); });
}

// Returns the parameters and buffers of the module and of all its submodules, each once.
std::vector<at::Tensor> tensors_of(const Module& module) {
  std::vector<at::Tensor> tensors;
  std::unordered_set<const c10::TensorImpl*> known;
  for (const at::Tensor& tensor : all_tensors(module)) {
    if (known.insert(tensor.unsafeGetTensorImpl()).second) tensors.push_back(tensor);
  }
  return tensors;
}

// Returns whether all tensors can be copied, which undoing needs. If not, the report says so.
bool have_memory(const Module& module, const std::string& path, RestorePlan& plan) {
  bool have = true;
  const auto check = [&](const auto& named) {
    for (const auto& entry : named) {
      have = plan.has_memory(entry.value(), dotted(path, entry.key())) && have;
    }
  };
  check(module.named_parameters());
  check(module.named_buffers());
  return have;
}

// Returns whether several elements share one address. Such a tensor cannot be written element by
// element.
bool is_expanded(const at::Tensor& tensor) {
  for (int64_t i = 0; i < tensor.dim(); ++i) {
    if (tensor.size(i) > 1 && tensor.stride(i) == 0) return true;
  }
  return false;
}

// A module's tensors with their memory, kept during a load. LibTorch's load gives the tensors the
// memory of the archive's tensors. That separates them from their views, from tensors that share
// their memory, and from code that has kept an address.
class KeptTensors {
 public:
  KeptTensors(const Module& module, Copier& copier) {
    for (const at::Tensor& live : tensors_of(module)) {
      kept_.push_back({live, live.detach(), copier.copy(live)});
    }
  }

  // Moves what was loaded into the old memory.
  void take_over() {
    const torch::NoGradGuard no_grad;
    std::unordered_set<const void*> old_memory;
    for (const Kept& kept : kept_) old_memory.insert(kept.own.storage().unsafeGetStorageImpl());
    std::vector<std::pair<const Kept*, at::Tensor>> loaded;
    for (const Kept& kept : kept_) {
      if (!fits(kept) || is_at_home(kept)) continue;
      const at::Tensor values = kept.live.detach();
      // One tensor may have been loaded into the memory of another one, which is written below.
      const bool in_the_way = old_memory.count(values.storage().unsafeGetStorageImpl()) != 0;
      loaded.emplace_back(&kept, in_the_way ? values.clone() : values);
    }
    for (auto& [kept, values] : loaded) {
      at::Tensor own = kept->own;
      own.copy_(values);
      put(*kept);
    }
  }

  // Restores the old memory and elements.
  void put_back() {
    const torch::NoGradGuard no_grad;
    for (const Kept& kept : kept_) {
      at::Tensor own = kept.own;
      if (!is_expanded(own)) own.copy_(kept.copy);
      put(kept);
    }
  }

 private:
  struct Kept {
    at::Tensor live;
    at::Tensor own;   // Its memory, in a tensor that only this holds.
    at::Tensor copy;  // Its elements.
  };

  static bool fits(const Kept& kept) {
    return kept.live.scalar_type() == kept.own.scalar_type() &&
           kept.live.sizes() == kept.own.sizes() && kept.live.device() == kept.own.device() &&
           !is_expanded(kept.own);
  }
  static bool is_at_home(const Kept& kept) {
    return kept.live.is_alias_of(kept.own) && kept.live.strides() == kept.own.strides() &&
           kept.live.storage_offset() == kept.own.storage_offset();
  }
  static void put(const Kept& kept) {
    at::Tensor live = kept.live;
    live.set_data(kept.own);
    compat::note_change(live);
  }

  std::vector<Kept> kept_;
};

// The step that restores one module, and its undo.
class CustomModuleRestore {
 public:
  CustomModuleRestore(Module& module, const std::string& path, Dict loaded)
      : module_(module), object_(custom_save_load(module, path)), loaded_(std::move(loaded)) {}

  void run() {
    Copier copier;
    kept_ = std::make_unique<KeptTensors>(module_, copier);
    before_ = std::make_unique<Dict>(copier.copy(object_.capture()));
    object_.load(loaded_);
    kept_->take_over();
  }

  void undo() {
    try {
      if (before_) object_.load(*before_);
    } catch (...) {
      // The tensors are still put back below.
    }
    if (kept_) kept_->put_back();
  }

 private:
  Module& module_;
  CustomSaveLoad object_;
  Dict loaded_;
  std::unique_ptr<KeptTensors> kept_;
  std::unique_ptr<Dict> before_;
};

// Compares the module's own tensors with the saved values at the places where its save writes them.
class Comparison {
 public:
  Comparison(const Module& module, RestorePlan& plan) : plan_(plan) {
    for (const at::Tensor& tensor : tensors_of(module)) {
      known_.insert(tensor.unsafeGetTensorImpl());
    }
  }

  // Returns whether all fit.
  bool compare(const Dict& live, const Dict& saved, const std::string& path) {
    for (const auto& [key, value] : live) {
      compare(value, saved.find(key), dotted(path, to_string(key)));
    }
    return fits_;
  }

 private:
  void compare(const Value& live, const Value* saved, const std::string& path) {
    if (live.is_dict()) {
      static const Dict kNothing;
      compare(live.dict(), saved != nullptr && saved->is_dict() ? saved->dict() : kNothing, path);
    } else if (live.is_tensor() && known_.count(live.to_tensor().unsafeGetTensorImpl()) != 0) {
      compare(live.to_tensor(), saved, path);
    }
  }

  void compare(const at::Tensor& live, const Value* saved, const std::string& path) {
    if (saved != nullptr && saved->is_tensor()) {
      if (plan_.fits(live, saved->to_tensor(), path)) {
        plan_.note_move(live, plan_.device_for(saved->to_tensor(), path, live.device()));
        return;
      }
    } else if (saved != nullptr) {
      plan_.wrong_kind(path, "a tensor", *saved);
    } else {
      plan_.missing(path);
    }
    fits_ = false;
  }

  RestorePlan& plan_;
  std::unordered_set<const c10::TensorImpl*> known_;
  bool fits_ = true;
};

}  // namespace

Value capture_custom_module(Module& module, const std::string& path) {
  return custom_save_load(module, path).capture();
}

void plan_custom_module(Module& module, const Value& saved, const std::string& path,
                        RestorePlan& plan) {
  if (!saved.is_dict()) {
    plan.wrong_kind(path, "a module", saved);
    return;
  }
  if (!have_memory(module, path, plan)) return;
  const Dict live = custom_save_load(module, path).capture();
  if (!can_be_undone(live, path, plan)) return;
  if (!Comparison(module, plan).compare(live, saved.dict(), path)) return;
  const std::vector<at::Tensor> tensors = tensors_of(module);
  const c10::Device home = tensors.empty() ? c10::Device(c10::kCPU) : tensors.front().device();
  auto restore = std::make_shared<CustomModuleRestore>(
      module, path, read_tree(saved.dict(), path, live, follow_map_location(plan, home), plan));
  plan.add_step([restore] { restore->run(); }, [restore] { restore->undo(); });
}

}  // namespace checkpoint::state
