// The tensors and storages of a pickle: what the functions that make them stand for. None of them
// is called. A storage is an entry of the graph; a tensor is a placeholder with its storage, dtype,
// sizes and strides, which are checked when its bytes are found.

#include "base/in_quotes.h"
#include "format/pickle/pickle_globals.h"
#include "format/pickle/pickle_machine.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace checkpoint::format::pickle {

namespace {

// The limit of LibTorch itself.
constexpr size_t kMaxDimensions = 64;
// The memory of a tensor without its elements: its object, its storage's, and its row in the table.
constexpr uint64_t kTensorBytes = 1024;

bool may_require_grad(const at::Tensor& tensor) {
  return tensor.is_floating_point() || tensor.is_complex();
}

}  // namespace

c10::ScalarType Machine::dtype_of_storage(const Cell& cell) const {
  need_known_dtype(cell);
  return as<StorageClass>(cell, "a storage's class").dtype;
}

c10::ScalarType Machine::dtype_named(const Cell& cell) const {
  need_known_dtype(cell);
  return as<Dtype>(cell, "a tensor's dtype").dtype;
}

// Throws for a name of torch at the place of a dtype: only a LibTorch that has this dtype can read
// the tensor.
void Machine::need_known_dtype(const Cell& cell) const {
  const auto* name = std::get_if<ForeignName>(&cell);
  if (name == nullptr) return;
  const Name& foreign = graph_.foreign[name->index];
  if (foreign.module != "torch" && foreign.module != "torch.cuda") return;
  unsupported("a tensor is of " + base::in_quotes(foreign.text()) +
                  ", a dtype that this LibTorch does not have",
              "Read it with a newer LibTorch, or convert the tensor before it is saved");
}

// ('storage', class, key, location, elements): a storage that is kept in a record of its own. The
// format from before 1.6 has one more field, the part of the storage. Since 0.4 it is None: all of
// it. Before 0.4, it may be (key, first element, elements).
void Machine::push_storage() {
  const Cell description = pop();
  const Cells fields = tuple(description, "a storage's description");
  // The class of a module that was saved whole, with its source code, which is not used.
  if (fields.size() == 4 && graph_.text(text(fields[0], "a word")) == std::string_view("module")) {
    push(fields[1]);
    return;
  }
  const bool has_view = fields.size() == 6;
  if ((fields.size() != 5 && !has_view) ||
      graph_.text(text(fields[0], "the word 'storage'")) != std::string_view("storage")) {
    corrupt("it refers to something outside that is not a storage");
  }
  const auto numel = as<int64_t>(fields[4], "a storage's size");
  Storage storage{std::nullopt,
                  text(fields[2], "a storage's key"),
                  text(fields[3], "a storage's location"),
                  numel,
                  0,
                  numel};
  if (has_view && !std::holds_alternative<None>(fields[5])) {
    const Cells view = tuple(fields[5], "a part of a storage");
    if (view.size() != 3) corrupt("a part of a storage is described in another way");
    storage.first = as<int64_t>(view[1], "where a part of a storage begins");
    storage.view_numel = as<int64_t>(view[2], "the size of a part of a storage");
    if (storage.first < 0 || storage.view_numel < 0 || storage.first > numel ||
        storage.view_numel > numel - storage.first) {
      corrupt("a part of a storage reaches outside of it");
    }
  }
  if (!std::holds_alternative<UntypedStorageClass>(fields[1])) {
    storage.dtype = dtype_of_storage(fields[1]);
  } else if (storage.view_numel != numel) {
    corrupt("a part of a storage is described in another way");
  }
  budget_.charge(sizeof(Storage));
  graph_.storages.push_back(storage);
  push(StorageAt{static_cast<uint32_t>(graph_.storages.size() - 1)});
}
// Adds a tensor in a storage. Without a dtype, it gets the dtype of its storage.
Cell Machine::add_tensor(const Cell& storage_cell, std::optional<c10::ScalarType> dtype,
                         Cells offset_sizes_strides, bool requires_grad) {
  const Storage& storage = graph_.storages[as<StorageAt>(storage_cell, "a storage").index];
  if (!dtype) dtype = storage.dtype;
  if (!dtype) corrupt("a tensor's storage does not say its dtype");
  if (storage.dtype && *storage.dtype != *dtype) {
    corrupt("a tensor has another dtype than its storage");
  }
  // A storage that counts bytes may end within an element.
  const auto item_bytes = static_cast<int64_t>(c10::elementSize(*dtype));
  int64_t offset = as<int64_t>(offset_sizes_strides[0], "a storage offset");
  const bool is_part = storage.view_numel != storage.numel;
  if ((is_part && offset > storage.view_numel) ||
      __builtin_add_overflow(offset, storage.first, &offset)) {
    corrupt("a tensor reaches outside of its storage");
  }
  TensorLayout tensor{graph_.text(storage.key),
                      graph_.text(storage.location),
                      *dtype,
                      storage.dtype ? storage.numel : storage.numel / item_bytes,
                      offset,
                      dimensions(offset_sizes_strides[1]),
                      dimensions(offset_sizes_strides[2]),
                      requires_grad};
  if (tensor.sizes.size() != tensor.strides.size()) {
    corrupt("a tensor has another number of strides than of sizes");
  }
  budget_.charge(kTensorBytes);
  graph_.tensors.push_back(make_tensor_(tensor));
  return TensorAt{static_cast<uint32_t>(graph_.tensors.size() - 1)};
}

// (storage, offset, sizes, strides)
Cell Machine::rebuild_old_tensor(Cells arguments) {
  return add_tensor(arguments[0], std::nullopt, {arguments.begin() + 1, 3}, false);
}

// The arguments: (storage, offset, sizes, strides, requires_grad, hooks[, dtype][, what LibTorch 2
// adds]). Only v3 has the dtype; `required` counts the arguments with it.
Cell Machine::rebuild_tensor(Cells arguments, size_t required) {
  if (arguments.size() != required && arguments.size() != required + 1) {
    corrupt("a tensor has the wrong number of arguments");
  }
  std::optional<c10::ScalarType> dtype;
  if (required == 7) dtype = dtype_named(arguments[6]);
  if (!std::holds_alternative<None>(arguments[5])) {
    require_empty_dict(arguments[5], "backward hooks");
  }
  if (arguments.size() > required && !std::holds_alternative<None>(arguments[required])) {
    require_empty_dict(arguments[required],
                       "marks (conjugated or negative): resolve them before saving");
  }
  return add_tensor(arguments[0], dtype, {arguments.begin() + 1, 3},
                    as<bool>(arguments[4], "a tensor's requires_grad"));
}

// The arguments: (data, requires_grad, hooks[, state]). Returns `data` itself, changed: nothing
// else in the file refers to it.
Cell Machine::rebuild_parameter(Cells arguments) {
  const auto at = as<TensorAt>(arguments[0], "a parameter's tensor");
  require_empty_dict(arguments[2], "backward hooks");
  return require_grad(at, as<bool>(arguments[1], "a parameter's requires_grad"));
}

Cell Machine::require_grad(TensorAt at, bool requires_grad) {
  at::Tensor& tensor = graph_.tensors[at.index];
  // A file from before 1.6 is read twice; the first reading makes no tensors.
  if (!tensor.defined()) return at;
  if (requires_grad && !may_require_grad(tensor)) {
    corrupt("a parameter that is not of floating point requires a gradient");
  }
  tensor.set_requires_grad(requires_grad);
  return at;
}

// The arguments: (data[, requires_grad]). Before 0.4 a Parameter was written like this, and its
// state follows.
Cell Machine::make_parameter(Cells arguments) {
  if (arguments.empty() || arguments.size() > 2) {
    corrupt("a parameter has the wrong number of arguments");
  }
  const auto at = as<TensorAt>(arguments[0], "a parameter's tensor");
  if (arguments.size() == 2) {
    return require_grad(at, as<bool>(arguments[1], "a parameter's requires_grad"));
  }
  const at::Tensor& tensor = graph_.tensors[at.index];
  return require_grad(at, tensor.defined() && may_require_grad(tensor));
}

// The state: (requires_grad, volatile, hooks).
void Machine::build_parameter(TensorAt at, const Cell& state) {
  const Cells fields = tuple(state, "a parameter's state");
  if (fields.size() != 3) unsupported("a tensor has a state of its own", "Nothing was run");
  if (!std::holds_alternative<None>(fields[2])) require_empty_dict(fields[2], "backward hooks");
  require_grad(at, as<bool>(fields[0], "a parameter's requires_grad"));
}

// The arguments: (tensor, dtype, device, requires_grad). Tensors of XLA and the like are saved like
// this.
Cell Machine::rebuild_from_cpu(Cells arguments) {
  const auto at = as<TensorAt>(arguments[0], "a tensor");
  const c10::ScalarType dtype = dtype_named(arguments[1]);
  const at::Tensor& tensor = graph_.tensors[at.index];
  if (tensor.defined() && tensor.scalar_type() != dtype) {
    unsupported("a tensor would be converted to another dtype");
  }
  return require_grad(at, as<bool>(arguments[3], "a tensor's requires_grad"));
}

// The arguments: (function, class, arguments, state). This makes a tensor with attributes of its
// own, which are left out.
Cell Machine::rebuild_from_type(Cells arguments) {
  if (arguments.size() != 4) corrupt("a tensor has the wrong number of arguments");
  const auto function = as<Global>(arguments[0], "the name of a function");
  if (function != Global::kRebuildTensor && function != Global::kRebuildTensorV3 &&
      function != Global::kRebuildOldTensor && function != Global::kRebuildParameter &&
      function != Global::kRebuildParameterWithState) {
    corrupt("a tensor is not made by a function for tensors");
  }
  const auto type = as<Global>(arguments[1], "a tensor's class");
  if (type != Global::kTensorClass && type != Global::kParameterClass) {
    corrupt("expected a tensor class");
  }
  return call(function, arguments[2]);
}

Dimensions Machine::dimensions(const Cell& cell) {
  const SizeAt* const size = std::get_if<SizeAt>(&cell);
  const Cells cells =
      size != nullptr ? graph_.tuple(size->index) : tuple(cell, "a tuple of integers");
  if (cells.size() > kMaxDimensions) {
    unsupported("a tensor has " + std::to_string(cells.size()) + " dimensions");
  }
  Dimensions values;
  values.reserve(cells.size());
  for (const Cell& value : cells) values.push_back(as<int64_t>(value, "an integer"));
  return values;
}

void Machine::require_empty_dict(const Cell& cell, const char* what) {
  if (!graph_.nodes[as<DictAt>(cell, "a dict").index].empty()) {
    unsupported(std::string("a tensor has ") + what);
  }
}

}  // namespace checkpoint::format::pickle
