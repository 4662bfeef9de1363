// Finds what need not be written again:
//
//   1. List the tensors of the capture. Tied ones are one.
//   2. For each, look for rows of the earlier checkpoint that have its key, dtype and shape. If
//      there are any, digest its bytes, with all cores.
//   3. A row with that digest is the tensor's place. Two tensors that are not tied never get one
//      place: a reader would tie them.
//   4. Choose the files that are worth to be linked. What lies in the others is settled.

#include "state/share/unchanged.h"

#include "base/digest.h"
#include "base/parallel.h"
#include "format/tree/dense.h"
#include "format/tree/dtype.h"
#include "format/tree/path.h"
#include "state/share/stub.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace checkpoint::state {
namespace {

using store::TensorEntry;

// If less of the whole is settled, a file of its own is not worth it.
constexpr uint64_t kLeastSettled = 8;

// A tensor of a tree and its key.
struct Listed {
  std::string key;
  at::Tensor tensor;
  size_t first;  // The first that is tied to it, or itself.
};

std::vector<Listed> list_tensors(const Value& tree) {
  std::vector<Listed> all;
  std::unordered_multimap<const void*, size_t> known;  // By the address of their memory.
  format::for_each_tensor(tree, format::Path(), [&](const Value& entry, const format::Path& path) {
    const at::Tensor& tensor = entry.to_tensor();
    const size_t index = all.size();
    all.push_back({path.text(), tensor, index});
    if (tensor.numel() == 0) return;
    const auto [begin, end] = known.equal_range(tensor.data_ptr());
    for (auto one = begin; one != end; ++one) {
      if (!format::are_tied(all[one->second].tensor, tensor)) continue;
      all.back().first = one->second;
      return;
    }
    known.emplace(tensor.data_ptr(), index);
  });
  return all;
}

// Compares one capture with one earlier checkpoint.
class Comparison {
 public:
  Comparison(const Capture& captured, const EarlierTensors& earlier,
             const std::vector<FileEntry>& files)
      : all_(list_tensors(captured.tree)), places_(all_.size()), earlier_(earlier), files_(files) {}

  Unchanged run() {
    find_places();
    choose_files();
    Unchanged unchanged;
    note_kinds(unchanged);
    note_rows(unchanged);
    return unchanged;
  }

 private:
  void find_places() {
    std::vector<size_t> candidates;
    std::vector<std::vector<const TensorEntry*>> rows;
    for (size_t i = 0; i < all_.size(); ++i) {
      const at::Tensor& tensor = all_[i].tensor;
      if (all_[i].first != i || format::bytes_of(tensor) < kSmallestReused) continue;
      auto found = earlier_.find(all_[i].key, format::dtype_name(tensor.scalar_type()),
                                 tensor.sizes().vec());
      if (found.empty()) continue;
      candidates.push_back(i);
      rows.push_back(std::move(found));
    }
    std::vector<base::Digest> digests(candidates.size());
    base::parallel_for(candidates.size(), [&](base::Indices& indices) {
      for (size_t i = 0; indices.next(i);) {
        const at::Tensor& tensor = all_[candidates[i]].tensor;
        digests[i] = base::Digest::of(tensor.data_ptr(), format::bytes_of(tensor));
      }
    });
    std::set<std::pair<std::string, uint64_t>> taken;
    for (size_t i = 0; i < candidates.size(); ++i) {
      for (const TensorEntry* const row : rows[i]) {
        if (row->xxh3_128 != digests[i] || !taken.insert({row->file, row->offset}).second) continue;
        places_[candidates[i]] = row;
        break;
      }
    }
  }

  void choose_files() {
    std::map<std::string, uint64_t> used;
    for (const TensorEntry* const place : places_) {
      if (place != nullptr) used[place->file] += place->bytes;
    }
    std::vector<std::pair<uint64_t, std::string>> worthwhile;
    for (const FileEntry& file : files_) {
      const auto found = used.find(file.name);
      if (found == used.end() || found->second < file.bytes - found->second) continue;
      worthwhile.emplace_back(found->second, file.name);
    }
    std::sort(worthwhile.begin(), worthwhile.end(),
              [](const auto& left, const auto& right) { return left.first > right.first; });
    if (worthwhile.size() > kMostLinked) worthwhile.resize(kMostLinked);
    for (auto& file : worthwhile) chosen_.insert(std::move(file.second));
  }

  // Of the first of tied ones.
  Unchanged::Kind kind_of(size_t first) const {
    if (places_[first] == nullptr) return Unchanged::Kind::kChanged;
    return chosen_.count(places_[first]->file) != 0 ? Unchanged::Kind::kLinked
                                                    : Unchanged::Kind::kSettled;
  }

  void note_kinds(Unchanged& unchanged) const {
    uint64_t whole = 0;
    std::vector<Unchanged::Kind> kinds(all_.size());
    for (size_t i = 0; i < all_.size(); ++i) {
      kinds[i] = kind_of(all_[i].first);
      if (all_[i].first != i) continue;
      const uint64_t bytes = format::bytes_of(all_[i].tensor);
      whole += bytes;
      if (kinds[i] == Unchanged::Kind::kLinked) {
        unchanged.linked_bytes += bytes;
        ++unchanged.linked_count;
      } else if (kinds[i] == Unchanged::Kind::kSettled) {
        unchanged.settled_bytes += bytes;
      }
    }
    if (unchanged.settled_bytes < whole / kLeastSettled) {
      std::replace(kinds.begin(), kinds.end(), Unchanged::Kind::kSettled,
                   Unchanged::Kind::kChanged);
      unchanged.settled_bytes = 0;
    }
    unchanged.files.assign(chosen_.begin(), chosen_.end());
    if (unchanged.linked_count > 0 || unchanged.settled_bytes > 0) {
      unchanged.kinds = std::move(kinds);
    }
  }

  void note_rows(Unchanged& unchanged) const {
    unchanged.rows.resize(unchanged.kinds.size());
    for (size_t i = 0; i < unchanged.kinds.size(); ++i) {
      if (unchanged.kinds[i] == Unchanged::Kind::kChanged) continue;
      TensorEntry& row = unchanged.rows[i];
      row = *places_[all_[i].first];
      row.key = all_[i].key;
      row.device.clear();
      row.strides = all_[i].tensor.strides().vec();
      row.rank = -1;
      if (unchanged.kinds[i] == Unchanged::Kind::kLinked) continue;
      row.file.clear();
      row.offset = 0;
    }
  }

  const std::vector<Listed> all_;
  std::vector<const TensorEntry*> places_;  // Of the first of tied ones; null: none.
  const EarlierTensors& earlier_;
  const std::vector<FileEntry>& files_;
  std::set<std::string> chosen_;
};

}  // namespace

EarlierTensors::EarlierTensors(std::vector<TensorEntry> rows) : rows_(std::move(rows)) {
  by_key_.reserve(rows_.size());
  for (const TensorEntry& row : rows_) {
    if (row.parts.empty() && row.bytes > 0) by_key_.emplace(row.key, &row);
  }
}

std::vector<const TensorEntry*> EarlierTensors::find(const std::string& key,
                                                     const std::string& dtype,
                                                     const std::vector<int64_t>& shape) const {
  std::vector<const TensorEntry*> found;
  const auto [begin, end] = by_key_.equal_range(key);
  for (auto one = begin; one != end; ++one) {
    if (one->second->dtype == dtype && one->second->shape == shape) found.push_back(one->second);
  }
  return found;
}

Unchanged find_unchanged(const Capture& captured, const EarlierTensors& earlier,
                         const std::vector<FileEntry>& files) {
  return Comparison(captured, earlier, files).run();
}

Value with_stubs(const Value& tree, const Unchanged& unchanged) {
  Value result = tree;
  size_t index = 0;
  format::for_each_tensor(result, format::Path(), [&](Value& entry, const format::Path&) {
    if (unchanged.kinds.at(index++) == Unchanged::Kind::kChanged) return;
    entry = stub_of(entry.to_tensor());
  });
  return result;
}

Settled settled_tensors(const Value& tree, const Unchanged& unchanged) {
  const std::vector<Listed> all = list_tensors(tree);
  Settled settled;
  settled.index.resize(all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    if (unchanged.kinds.at(i) != Unchanged::Kind::kSettled) continue;
    if (all[i].first != i) {
      settled.index[i] = settled.index[all[i].first];
      continue;
    }
    settled.index[i] = settled.tensors.size();
    std::string key = all[i].key;
    while (settled.tensors.contains(key)) key += '\'';  // Keys with dots in them may look alike.
    settled.tensors.insert(std::move(key), all[i].tensor);
  }
  return settled;
}

}  // namespace checkpoint::state
