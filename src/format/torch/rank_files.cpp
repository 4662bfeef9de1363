// Puts the files of several ranks, and those of unchanged tensors, together again. The file of rank
// 0 has the whole tree, with an empty tensor in the place of each one that lies elsewhere. The
// table of tensors says, by its key, where each one lies. So no file but that of rank 0, and the
// rank's own, is decoded. Keys that look alike (`a.b`, and `b` in `a`) differ in their order.

#include "format/torch/rank_files.h"

#include "base/in_quotes.h"
#include "compat/accelerator.h"
#include "format/decode/placeholders.h"
#include "format/torch/archive_reader.h"
#include "format/tree/dense.h"
#include "format/tree/dtype.h"
#include "format/tree/path.h"
#include "store/records/names.h"
#include "store/records/tensor_parts.h"

#include <checkpoint/error.h>

#include <ATen/EmptyTensor.h>

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>
#include <utility>

namespace checkpoint::format {
namespace {

using store::TensorEntry;
using store::TensorPart;

// More could only come from a hostile file: to compare each part with each other takes long.
constexpr size_t kMostParts = 100000;

bool is_reserved(const std::string& name) {
  static constexpr std::array kReserved = {"epoch", "step", "loss"};
  return std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end();
}

bool has_rank(const ItemEntry& item, int64_t rank) {
  return std::find(item.ranks.begin(), item.ranks.end(), rank) != item.ranks.end();
}

}  // namespace

class Assembly {
 public:
  Assembly(const Sources& sources, const std::vector<std::string>& names, const Manifest& manifest,
           const store::TensorTable& table, int64_t rank)
      : sources_(sources), manifest_(manifest), table_(table), rank_(rank) {
    for (size_t i = 0; i < names.size(); ++i) index_of_.emplace(names[i], i);
    ranks_ = std::count_if(names.begin(), names.end(), store::is_content_file);
    for (const TensorEntry& tensor : table.tensors) {
      if (tensor.rank >= 0) continue;
      shared_[tensor.key].push_back(&tensor);
      ++left_;
    }
    // The first of each key is taken from the end.
    for (auto& rows : shared_) std::reverse(rows.second.begin(), rows.second.end());
  }

  RankView run() {
    DecodedArchive leader = read_archive(sources_(0));
    take_table(leader, 0);
    std::optional<DecodedArchive> own;
    const bool was_there = rank_ < ranks_;
    if (rank_ > 0 && was_there) {
      own.emplace(read_archive(sources_(static_cast<size_t>(rank_))));
      take_table(*own, static_cast<size_t>(rank_));
    }
    if (!leader.tree_.is_dict() || (own && !own->tree_.is_dict())) {
      corrupt("the file of a rank holds no dict");
    }
    choose_items();
    const Dict none;
    const Dict& own_tree = own ? own->tree_.dict() : rank_ == 0 ? leader.tree_.dict() : none;
    build_tree(leader.tree_.dict(), own_tree);
    if (left_ != 0) corrupt("the table names more tensors than the tree has");
    return {std::move(result_), std::move(items_), names_of_items(), std::move(absent_)};
  }

 private:
  [[noreturn]] void corrupt(const std::string& what) const {
    throw Error(ErrorCode::kCorrupt, what, sources_(0).name());
  }

  // Takes over the placeholders of one file.
  void take_table(DecodedArchive& archive, size_t file) {
    for (auto& row : archive.table_->rows) {
      row.second.stored.file = file;
      result_.table_->rows.emplace(row.first, std::move(row.second));
    }
  }

  void choose_items() {
    for (const ItemEntry& item : manifest_.items) {
      if (item.ranks.empty()) {
        items_.push_back(item);
        continue;
      }
      own_.push_back(item.name);
      if (has_rank(item, rank_)) items_.push_back(item);
    }
    for (const std::string& name : own_) {
      const auto is_it = [&](const ItemEntry& item) { return item.name == name; };
      if (std::none_of(items_.begin(), items_.end(), is_it) &&
          std::find(absent_.begin(), absent_.end(), name) == absent_.end()) {
        absent_.push_back(name);
      }
    }
  }

  bool is_own(const std::string& name) const {
    return std::find(own_.begin(), own_.end(), name) != own_.end();
  }

  // What is neither an item nor a number of the progress is the dict of pieces.
  bool belongs_to_tree(const std::string& name) const {
    return is_reserved(name) ||
           std::any_of(items_.begin(), items_.end(),
                       [&](const ItemEntry& item) { return item.name == name; });
  }

  void build_tree(const Dict& leader, const Dict& own) {
    Dict tree;
    leader.for_each([&](const Key& key, const Value& value) {
      const std::string name = to_string(key);
      if (is_own(name) || !belongs_to_tree(name)) return;
      Value shared = value;
      for_each_tensor(shared, Path(name), [&](Value& entry, const Path& path) {
        entry = shared_tensor(path.text(), entry.to_tensor());
      });
      tree.insert(key, std::move(shared));
    });
    for (const ItemEntry& item : items_) {
      if (item.ranks.empty()) continue;
      const Value* const value = own.find(item.name);
      if (value == nullptr) corrupt("the file of a rank lacks its item '" + item.name + "'");
      tree.insert(item.name, *value);
    }
    result_.tree_ = std::move(tree);
  }

  // Returns the placeholder of a tensor. `stub` has its place in the tree.
  at::Tensor shared_tensor(const std::string& key, const at::Tensor& stub) {
    const auto rows = shared_.find(key);
    if (rows == shared_.end() || rows->second.empty()) {
      corrupt("the table does not name the tensor " + base::in_quotes(key));
    }
    const TensorEntry& row = *rows->second.back();
    rows->second.pop_back();
    --left_;
    const c10::ScalarType dtype = dtype_of(row);
    if (dtype != stub.scalar_type()) corrupt("the dtype of " + base::in_quotes(key) + " differs");
    if (row.parts.empty() && index_of(row.file) == 0) {
      if (stub.sizes() != at::IntArrayRef(row.shape)) {
        corrupt("the shape of " + base::in_quotes(key) + " differs");
      }
      set_device(stub, row);
      return stub;
    }
    // Tied tensors have the same places, and stay one tensor.
    const TensorPart whole{row.file, row.offset, row.bytes, row.xxh3_128, {}, row.shape};
    const TensorPart& first = row.parts.empty() ? whole : row.parts.front();
    const auto known = known_.find({index_of(first.file), first.offset});
    if (first.bytes > 0 && known != known_.end() &&
        known->second.sizes() == at::IntArrayRef(row.shape) &&
        known->second.scalar_type() == dtype &&
        known->second.requires_grad() == stub.requires_grad()) {
      return known->second;
    }
    at::Tensor made = row.parts.empty()
                          ? part_placeholder(whole, row.strides, dtype, stub.requires_grad())
                          : in_parts(row, dtype, stub.requires_grad());
    set_device(made, row);
    known_.emplace(std::make_pair(index_of(first.file), first.offset), made);
    return made;
  }

  c10::ScalarType dtype_of(const TensorEntry& row) const {
    const std::optional<c10::ScalarType> dtype = find_dtype(row.dtype);
    if (dtype) return *dtype;
    throw Error(ErrorCode::kUnsupported,
                "the tensor " + base::in_quotes(row.key) + " has the dtype " +
                    base::in_quotes(row.dtype) + ", which this LibTorch does not have",
                sources_(0).name());
  }

  size_t index_of(const std::string& file) const {
    const auto found = index_of_.find(file);
    if (found == index_of_.end()) {
      corrupt("the table names the file " + base::in_quotes(file) +
              ", which the manifest does not");
    }
    return found->second;
  }

  void set_device(const at::Tensor& placeholder, const TensorEntry& row) {
    const std::optional<c10::Device> device = compat::device_of(row.device);
    if (!device) {
      corrupt("the tensor " + base::in_quotes(row.key) + " was saved from " +
              base::in_quotes(row.device) + ", which is not a device's name");
    }
    result_.table_->rows.at(placeholder.unsafeGetTensorImpl()).stored.device = *device;
  }

  // The elements of a shape. Refuses what does not fit into 64 bits.
  uint64_t elements(const std::vector<int64_t>& shape) const {
    int64_t count = 1;
    for (const int64_t size : shape) {
      if (size < 0 || __builtin_mul_overflow(count, std::max<int64_t>(size, 1), &count)) {
        corrupt("the table has a shape that is too large");
      }
    }
    return std::find(shape.begin(), shape.end(), 0) != shape.end() ? 0
                                                                   : static_cast<uint64_t>(count);
  }

  at::Tensor add(at::Tensor placeholder, StoredTensor stored) {
    const auto* const key = placeholder.unsafeGetTensorImpl();
    result_.table_->rows.emplace(key, DecodedArchive::Row{placeholder, std::move(stored)});
    return placeholder;
  }

  at::Tensor part_placeholder(const TensorPart& part, const std::vector<int64_t>& whole_strides,
                              c10::ScalarType dtype, bool requires_grad) {
    const size_t file = index_of(part.file);
    const uint64_t size = sources_(file).size();
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(elements(part.shape), c10::elementSize(dtype), &bytes) ||
        bytes != part.bytes || part.offset > size || part.bytes > size - part.offset) {
      corrupt("the table places a tensor outside of " + base::in_quotes(part.file));
    }
    at::Tensor placeholder =
        at::detail::empty_strided_meta(part.shape, dense_strides(part.shape, whole_strides), dtype);
    if (requires_grad) placeholder.set_requires_grad(true);
    StoredTensor stored{part.offset, part.bytes, 0, c10::Device(c10::kCPU), part.file};
    stored.file = file;
    return add(std::move(placeholder), std::move(stored));
  }

  at::Tensor in_parts(const TensorEntry& row, c10::ScalarType dtype, bool requires_grad) {
    check_parts(row);
    auto parts = std::make_shared<std::vector<StoredPart>>();
    for (const TensorPart& part : row.parts) {
      parts->push_back({part.at, part_placeholder(part, row.strides, dtype, false)});
    }
    at::Tensor whole =
        at::detail::empty_strided_meta(row.shape, dense_strides(row.shape, row.strides), dtype);
    if (requires_grad) whole.set_requires_grad(true);
    StoredTensor stored{0, 0, 0, c10::Device(c10::kCPU), row.key};
    stored.parts = std::move(parts);
    return add(std::move(whole), std::move(stored));
  }

  // The parts must lie in the whole, cover it, and not overlap.
  void check_parts(const TensorEntry& row) const {
    if (row.parts.size() > kMostParts) corrupt("the table has a tensor in too many parts");
    elements(row.shape);  // Checks the shape.
    const std::optional<store::PartsFault> fault = store::find_fault(row.parts, row.shape);
    if (!fault) return;
    const std::string key = base::in_quotes(row.key);
    switch (fault->kind) {
      case store::PartsFault::Kind::kOutside:
        corrupt("a part of " + key + " reaches outside of it");
      case store::PartsFault::Kind::kOverlap:
        corrupt("the parts of " + key + " overlap");
      case store::PartsFault::Kind::kGap:
        corrupt("the parts of " + key + " do not cover it");
      case store::PartsFault::Kind::kTangled:
        corrupt("the table has a tensor in parts that no training would make: " + key);
    }
  }

  store::ItemNames names_of_items() const {
    store::ItemNames names = table_;
    const auto own = table_.of_ranks.find(rank_);
    if (own == table_.of_ranks.end()) return names;
    for (const auto& [item, parameters] : own->second.optimizer_parameters) {
      names.optimizer_parameters[item] = parameters;
    }
    for (const auto& [item, modules] : own->second.eval_modules) {
      names.eval_modules[item] = modules;
    }
    return names;
  }

  struct PlaceHash {
    size_t operator()(const std::pair<size_t, uint64_t>& place) const {
      return std::hash<uint64_t>()(place.second * 31 + place.first);
    }
  };

  const Sources& sources_;
  const Manifest& manifest_;
  const store::TensorTable& table_;
  const int64_t rank_;
  int64_t ranks_ = 0;                                 // How many have written a file.
  std::unordered_map<std::string, size_t> index_of_;  // Of each file's name.
  // The rows of what all ranks share, by key, and how many of them the tree has not asked for.
  std::unordered_map<std::string, std::vector<const TensorEntry*>> shared_;
  size_t left_ = 0;
  std::vector<ItemEntry> items_;
  std::vector<std::string> own_;     // The names of the items that each rank has for itself.
  std::vector<std::string> absent_;  // Of these: the ones that this rank did not save.
  std::unordered_map<std::pair<size_t, uint64_t>, at::Tensor, PlaceHash> known_;
  DecodedArchive result_;
};

RankView read_rank_files(const Sources& sources, const std::vector<std::string>& names,
                         const Manifest& manifest, const store::TensorTable& table, int64_t rank) {
  return Assembly(sources, names, manifest, table, rank).run();
}

}  // namespace checkpoint::format
