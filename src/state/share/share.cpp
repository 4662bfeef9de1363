// Splits a capture among the ranks. The shared tensors are laid one behind the other, and rank r of
// n writes the bytes from r/n to (r+1)/n of that. A cut inside a large tensor is moved to the next
// row, where a row is what one index of the tensor's outermost dimension covers. A small tensor
// goes whole to the rank that its middle falls to.

#include "state/share/share.h"

#include "base/digest.h"
#include "base/parallel.h"
#include "base/shape_text.h"
#include "format/tree/dense.h"
#include "format/tree/device_copy.h"
#include "format/tree/dtype.h"
#include "format/tree/path.h"
#include "format/tree/tree_json.h"
#include "state/share/stub.h"
#include "store/records/tensor_parts.h"

#include <checkpoint/error.h>

#include <torch/torch.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace checkpoint::state {
namespace {

constexpr char kPiecesName[] = "tensors";

// A range of rows of one tensor.
struct Rows {
  int64_t dimension;
  int64_t begin;
  int64_t end;
};

// The dimension whose index changes the address most, so that a range of it is one range of memory.
int64_t outermost_dimension(const at::Tensor& tensor) {
  int64_t outermost = 0;
  for (int64_t i = 0; i < tensor.dim(); ++i) {
    if (tensor.size(i) < 2) continue;
    if (tensor.size(outermost) < 2 || tensor.stride(i) > tensor.stride(outermost)) outermost = i;
  }
  return outermost;
}

// Divides `bytes` bytes, the tensors one behind the other, among the ranks.
class Split {
 public:
  Split(uint64_t bytes, int64_t ranks, uint64_t smallest_cut)
      : bytes_(bytes), ranks_(static_cast<uint64_t>(ranks)), smallest_cut_(smallest_cut) {}

  // Returns which rows of a tensor, whose bytes begin at `place`, belong to a rank. All of a tensor
  // without elements belong to rank 0.
  Rows rows_of(const at::Tensor& tensor, uint64_t place, int64_t rank) const {
    const uint64_t size = format::bytes_of(tensor);
    if (size == 0) return {0, 0, rank == 0 ? 1 : 0};
    if (size < smallest_cut_ || tensor.dim() == 0) {
      return {0, 0, rank_at(place + size / 2) == rank ? whole(tensor) : 0};
    }
    const int64_t dimension = outermost_dimension(tensor);
    const auto rows = static_cast<uint64_t>(tensor.size(dimension));
    const auto row_at = [&](int64_t cut) {
      const uint64_t byte = begin_of(cut);
      if (byte <= place) return uint64_t{0};
      return std::min(rows, (byte - place + size / rows - 1) / (size / rows));
    };
    return {dimension, static_cast<int64_t>(row_at(rank)), static_cast<int64_t>(row_at(rank + 1))};
  }

  static int64_t whole(const at::Tensor& tensor) { return tensor.dim() == 0 ? 1 : tensor.size(0); }

 private:
  // bytes * rank / ranks, without a product that could overflow.
  uint64_t begin_of(int64_t rank) const {
    const auto number = static_cast<uint64_t>(rank);
    return bytes_ / ranks_ * number + bytes_ % ranks_ * number / ranks_;
  }
  int64_t rank_at(uint64_t byte) const {
    const uint64_t each = std::max<uint64_t>(bytes_ / ranks_, 1);
    auto rank = static_cast<int64_t>(std::min(byte / each, ranks_ - 1));
    while (begin_of(rank) > byte) --rank;
    while (begin_of(rank + 1) <= byte) ++rank;
    return rank;
  }

  const uint64_t bytes_;
  const uint64_t ranks_;
  const uint64_t smallest_cut_;
};

bool is_whole(const at::Tensor& tensor, const Rows& rows) {
  if (tensor.dim() == 0 || tensor.numel() == 0) return rows.end > rows.begin;
  return rows.begin == 0 && rows.end == tensor.size(rows.dimension);
}

// Returns a part of a dense tensor with a storage of its own over the same memory: LibTorch writes
// the whole storage behind a view.
at::Tensor slice(const at::Tensor& tensor, const Rows& rows) {
  const at::Tensor part = tensor.detach().narrow(rows.dimension, rows.begin, rows.end - rows.begin);
  if (!part.device().is_cpu()) return part;
  return at::from_blob(
      part.data_ptr(), part.sizes(), part.strides(), [part](void*) {},
      at::TensorOptions().dtype(part.scalar_type()));
}

class Sharing {
 public:
  Sharing(Capture captured, int64_t rank, int64_t world_size, Digests digests,
          uint64_t smallest_cut)
      : rank_(rank), world_size_(world_size), digests_(digests), smallest_cut_(smallest_cut) {
    share_.captured = std::move(captured);
  }

  Share run(const Progress& progress) {
    note_layout(progress);
    find_shared();
    if (digests_ == Digests::kYes) add_digests();
    share_.captured.tensor_bytes = 0;
    share_.captured.tensor_count = 0;
    if (rank_ == 0) {
      replace_what_lies_elsewhere();
    } else {
      keep_only_own_items();
    }
    add_pieces();
    return std::move(share_);
  }

 private:
  bool is_shared(const Key& key) const {
    return share_.captured.per_rank.count(to_string(key)) == 0;
  }

  void note_layout(const Progress& progress) {
    share_.layout.push_back("the progress: epoch " + std::to_string(progress.epoch) + ", step " +
                            std::to_string(progress.step));
    for (const ItemEntry& item : share_.captured.items) {
      if (!is_shared(item.name)) continue;
      share_.layout.push_back('\'' + item.name + "': " + item.kind + ' ' + item.type);
      if (digests_ == Digests::kYes) share_.layout.back() += values_digest(item.name);
    }
  }

  // Of all that is no tensor: counters, names, an optimizer's options.
  std::string values_digest(const std::string& item) const {
    const std::string text = format::tree_to_json(share_.captured.tree.dict().at(item));
    return ", values " + base::xxh3_128(text.data(), text.size());
  }

  // Adds to the line of each tensor the digest of its bytes.
  void add_digests() {
    std::vector<std::string> digests(tensors_.size());
    base::parallel_for(tensors_.size(), [&](base::Indices& indices) {
      for (size_t i = 0; indices.next(i);) {
        if (share_.first[i] != i || shards_[i] != nullptr) continue;
        const at::Tensor& tensor = tensors_[i];
        const at::Tensor host = tensor.device().is_cpu() ? tensor : format::copy_to_host(tensor);
        digests[i] = base::xxh3_128(host.data_ptr(), format::bytes_of(host));
      }
    });
    const size_t first_line = share_.layout.size() - tensors_.size();
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (shards_[i] != nullptr) continue;
      share_.layout[first_line + i] += ", digest " + digests[share_.first[i]];
    }
  }

  // Notes each shared tensor, and the first of those that are tied.
  void find_shared() {
    std::unordered_multimap<const void*, size_t> known;  // By the address of their memory.
    share_.captured.tree.dict().for_each([&](const Key& key, Value& value) {
      if (!is_shared(key)) return;
      const std::string name = to_string(key);
      format::for_each_tensor(
          value, format::Path(name), [&](Value& entry, const format::Path& path) {
            const at::Tensor& tensor = entry.to_tensor();
            store::TensorEntry row;
            row.key = path.text();
            row.dtype = format::dtype_name(tensor.scalar_type());
            const auto shard = share_.captured.shards.find(row.key);
            const bool is_part = shard != share_.captured.shards.end();
            shards_.push_back(is_part ? &shard->second : nullptr);
            row.shape = is_part ? shard->second.global_shape : tensor.sizes().vec();
            row.strides = is_part ? format::dense_strides(row.shape, tensor.strides())
                                  : tensor.strides().vec();
            const auto device = share_.captured.devices.find(row.key);
            row.device = device != share_.captured.devices.end() ? device->second : "cpu";
            share_.layout.push_back('\'' + row.key + "': " + row.dtype + ' ' +
                                    base::shape_text(row.shape) + (is_part ? ", in parts" : ""));
            const size_t index = share_.shared.size();
            // The writer writes tied parts once. Here they may be empty, and elsewhere not.
            const size_t first = is_part ? index : first_of(tensor, index, known);
            share_.first.push_back(first);
            share_.shared.push_back(std::move(row));
            tensors_.push_back(tensor);
            places_.push_back(bytes_);
            if (first == index && !is_part) bytes_ += format::bytes_of(tensor);
          });
    });
  }

  // Returns the index of the first tensor that is tied to this one, or its own. Views on a device
  // may begin at one address and still differ.
  size_t first_of(const at::Tensor& tensor, size_t index,
                  std::unordered_multimap<const void*, size_t>& known) const {
    if (tensor.numel() == 0) return index;
    const auto [begin, end] = known.equal_range(tensor.data_ptr());
    for (auto one = begin; one != end; ++one) {
      if (format::are_tied(tensors_[one->second], tensor)) return one->second;
    }
    known.emplace(tensor.data_ptr(), index);
    return index;
  }

  Rows rows_of(size_t index) const {
    return Split(bytes_, world_size_, smallest_cut_)
        .rows_of(tensors_[index], places_[index], rank_);
  }

  // Whether the whole tensor has no elements, so that it has no parts.
  bool is_empty_shard(size_t index) const {
    const std::vector<int64_t>& shape = share_.shared[index].shape;
    return shards_[index] != nullptr && std::count(shape.begin(), shape.end(), 0) > 0;
  }

  void count(const at::Tensor& tensor) {
    share_.captured.tensor_bytes += format::bytes_of(tensor);
    share_.captured.tensor_count += 1;
  }

  // The tree of rank 0 is the whole one.
  void replace_what_lies_elsewhere() {
    size_t index = 0;
    share_.captured.tree.dict().for_each([&](const Key& key, Value& value) {
      const bool shared = is_shared(key);
      const std::string name = to_string(key);
      format::for_each_tensor(value, format::Path(name), [&](Value& entry, const format::Path&) {
        if (!shared) {
          count(entry.to_tensor());
          share_.pieces.push_back({});
          return;
        }
        const size_t first = share_.first[index];
        if (is_empty_shard(index)) {
          entry = at::empty(share_.shared[index].shape, entry.to_tensor().options());
          share_.pieces.push_back({Piece::Kind::kPart, index, {}, {}});
        } else if (shards_[first] == nullptr && is_whole(tensors_[first], rows_of(first))) {
          if (first == index) count(entry.to_tensor());
          share_.pieces.push_back({Piece::Kind::kPart, index, {}, {}});
        } else {
          entry = stub_of(entry.to_tensor());
          share_.pieces.push_back({Piece::Kind::kStub, index, {}, {}});
        }
        ++index;
      });
    });
  }

  void keep_only_own_items() {
    Dict own;
    share_.captured.tree.dict().for_each([&](const Key& key, Value& value) {
      if (is_shared(key)) return;
      const std::string name = to_string(key);
      format::for_each_tensor(value, format::Path(name), [&](Value& entry, const format::Path&) {
        count(entry.to_tensor());
        share_.pieces.push_back({});
      });
      own.insert(key, std::move(value));
    });
    share_.captured.tree = std::move(own);
  }

  // A dict of all other tensors that this rank writes, by their keys. A reader finds them by the
  // table of tensors; the names are for people.
  void add_pieces() {
    Dict pieces;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (share_.first[i] != i) continue;
      const ShardPlace* const place = shards_[i];
      if (place != nullptr) {
        if (place->is_written && tensors_[i].numel() > 0) {
          add_part(pieces, i, tensors_[i], place->offsets);
        }
        continue;
      }
      const Rows rows = rows_of(i);
      if (rows.end <= rows.begin) continue;
      if (!is_whole(tensors_[i], rows)) {
        std::vector<int64_t> at(share_.shared[i].shape.size(), 0);
        at[static_cast<size_t>(rows.dimension)] = rows.begin;
        add_part(pieces, i, slice(tensors_[i], rows), std::move(at));
      } else if (rank_ > 0) {  // Otherwise it is in the tree.
        add_piece(pieces, share_.shared[i].key, tensors_[i], {Piece::Kind::kPart, i, {}, {}});
      }
    }
    if (pieces.empty()) return;
    std::string name = kPiecesName;
    const auto is_taken = [&] {
      return std::any_of(share_.captured.items.begin(), share_.captured.items.end(),
                         [&](const ItemEntry& item) { return item.name == name; });
    };
    while (is_taken()) name += '_';
    share_.captured.tree.dict().insert(name, std::move(pieces));
    share_.captured.any_keys.insert(name);
  }

  void add_part(Dict& pieces, size_t index, const at::Tensor& part, std::vector<int64_t> at) {
    const std::vector<int64_t> shape = part.sizes().vec();
    const std::string name = share_.shared[index].key + store::region_text(at, shape);
    const bool is_copy = share_.captured.copies.count(tensors_[index].unsafeGetTensorImpl()) != 0;
    if (is_copy) share_.captured.copies.insert(part.unsafeGetTensorImpl());
    add_piece(pieces, name, part, {Piece::Kind::kPart, index, std::move(at), shape});
  }

  void add_piece(Dict& pieces, std::string name, const at::Tensor& tensor, Piece described) {
    while (pieces.contains(name)) name += '\'';  // Keys with dots in them may look alike.
    count(tensor);
    share_.pieces.push_back(std::move(described));
    pieces.insert(std::move(name), tensor);
  }

  const int64_t rank_;
  const int64_t world_size_;
  const Digests digests_;
  const uint64_t smallest_cut_;
  Share share_;
  std::vector<at::Tensor> tensors_;        // For each of `shared`.
  std::vector<const ShardPlace*> shards_;  // Of those that are parts: where they lie.
  std::vector<uint64_t> places_;           // Where its bytes begin, all one behind the other.
  uint64_t bytes_ = 0;
};

// A single rank must hold all of each tensor.
void require_whole(const Capture& captured) {
  if (captured.shards.empty()) return;
  format::for_each_tensor(captured.tree, format::Path(), [&](const Value& entry, const auto& path) {
    const auto shard = captured.shards.find(path.text());
    if (shard == captured.shards.end()) return;
    const std::vector<int64_t> sizes = entry.to_tensor().sizes().vec();
    if (sizes == shard->second.global_shape && shard->second.is_written) return;
    throw Error(ErrorCode::kIncompatible,
                "the only rank holds " + store::region_text(shard->second.offsets, sizes) +
                    " of the tensor '" + path.text() + "', whose sizes are " +
                    base::shape_text(shard->second.global_shape),
                "", 0, "Set CheckpointManagerOptions::coordinator, so that all ranks save it.");
  });
}

}  // namespace

Share take_share(Capture captured, const Progress& progress, int64_t rank, int64_t world_size,
                 Digests digests, uint64_t smallest_cut) {
  if (world_size == 1) {
    require_whole(captured);
    Share share;
    share.captured = std::move(captured);
    return share;
  }
  const torch::NoGradGuard no_grad;
  return Sharing(std::move(captured), rank, world_size, digests, smallest_cut).run(progress);
}

std::string layout_difference(const std::vector<std::string>& leader,
                              const std::vector<std::string>& own, int64_t rank) {
  const auto [one, other] = std::mismatch(leader.begin(), leader.end(), own.begin(), own.end());
  if (one == leader.end() && other == own.end()) return {};
  return (one == leader.end() ? "nothing more" : *one) + " on rank 0, " +
         (other == own.end() ? "nothing more" : *other) + " on rank " + std::to_string(rank);
}

}  // namespace checkpoint::state
