#include "format/dcp/index_check.h"

#include "base/in_quotes.h"
#include "base/shape_text.h"
#include "store/records/tensor_parts.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace checkpoint::format::dcp {
namespace {

// The limit of LibTorch itself.
constexpr size_t kMaxDimensions = 64;

// Returns the number of elements; empty if it or the product of the larger dimensions overflows.
std::optional<int64_t> elements(const std::vector<int64_t>& sizes) {
  int64_t count = 1;
  bool is_empty = false;
  for (const int64_t size : sizes) {
    is_empty = is_empty || size == 0;
    if (__builtin_mul_overflow(count, std::max<int64_t>(size, 1), &count)) return std::nullopt;
  }
  return is_empty ? 0 : count;
}

std::string at_text(const std::vector<int64_t>& at) { return base::shape_text(at); }

void check_chunk(const Entry& entry, const Chunk& chunk, const IndexCells& cells) {
  const std::string name = base::in_quotes(entry.key);
  if (chunk.at.size() != entry.sizes.size() || chunk.sizes.size() != entry.sizes.size()) {
    cells.corrupt("a chunk of " + name + " has another number of dimensions than it");
  }
  for (size_t i = 0; i < chunk.at.size(); ++i) {
    if (chunk.at[i] > entry.sizes[i] || chunk.sizes[i] > entry.sizes[i] - chunk.at[i]) {
      cells.corrupt("the chunk of " + name + " at " + at_text(chunk.at) + " reaches outside of it");
    }
  }
}

store::TensorPart part_of(const Chunk& chunk) {
  store::TensorPart part;
  part.at = chunk.at;
  part.shape = chunk.sizes;
  return part;
}

void check_cover(const Entry& entry, const IndexCells& cells) {
  std::vector<store::TensorPart> parts;
  for (const Chunk& chunk : entry.chunks) {
    if (*elements(chunk.sizes) > 0) parts.push_back(part_of(chunk));
  }
  const std::optional<store::PartsFault> fault = store::find_fault(parts, entry.sizes);
  if (!fault) return;
  const std::string name = base::in_quotes(entry.key);
  switch (fault->kind) {
    case store::PartsFault::Kind::kOutside:
      cells.corrupt("a chunk of " + name + " reaches outside of it");
    case store::PartsFault::Kind::kOverlap:
      cells.corrupt("two chunks of " + name + " overlap, at " + at_text(parts[fault->one].at) +
                    " and " + at_text(parts[fault->other].at));
    case store::PartsFault::Kind::kGap:
      cells.corrupt("the chunks of " + name + " do not cover it" +
                    (fault->at.empty() ? "" : ": none has the element " + at_text(fault->at)) +
                    ". Perhaps not all ranks have saved");
    case store::PartsFault::Kind::kTangled:
      cells.unsupported("the chunks of " + name + " are laid out as no training would do it");
  }
}

}  // namespace

bool stays_inside(std::string_view path) {
  if (path.empty() || path.find('\\') != std::string_view::npos ||
      path.find('\0') != std::string_view::npos) {
    return false;
  }
  for (size_t begin = 0; begin <= path.size();) {
    const size_t slash = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, slash - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = slash + 1;
  }
  return true;
}

void check_tensor(const Entry& entry, const IndexCells& cells) {
  const std::string name = base::in_quotes(entry.key);
  if (entry.sizes.size() > kMaxDimensions) {
    cells.unsupported("the tensor " + name + " has " + std::to_string(entry.sizes.size()) +
                      " dimensions");
  }
  const std::optional<int64_t> count = elements(entry.sizes);
  int64_t bytes = 0;
  if (!count ||
      __builtin_mul_overflow(*count, static_cast<int64_t>(c10::elementSize(entry.dtype)), &bytes)) {
    cells.corrupt("the size of " + name + " is too large");
  }
  for (const Chunk& chunk : entry.chunks) check_chunk(entry, chunk, cells);
  check_cover(entry, cells);
}

void BlobFinder::add(Entry& entry, const std::optional<std::vector<int64_t>>& at,
                     const Blob& blob) {
  const std::string name = base::in_quotes(entry.key);
  const size_t number = index_.blobs.size();
  index_.blobs.push_back(blob);
  if (!entry.is_tensor) {
    if (at) cells_.corrupt("storage_data has a chunk of " + name + ", which is not a tensor");
    if (entry.blob) cells_.corrupt("storage_data has " + name + " twice");
    entry.blob = number;
    return;
  }
  if (!at) cells_.corrupt("storage_data has the tensor " + name + " without the chunk's place");
  Chunk* const chunk = find_chunk(entry, *at);
  if (chunk == nullptr) {
    cells_.corrupt("storage_data has a chunk of " + name + " at " + at_text(*at) +
                   ", which state_dict_metadata lacks");
  }
  if (chunk->blob) {
    cells_.corrupt("storage_data has the chunk of " + name + " at " + at_text(*at) + " twice");
  }
  const uint64_t least =
      static_cast<uint64_t>(*elements(chunk->sizes)) * c10::elementSize(entry.dtype);
  if (blob.bytes < least) {
    cells_.corrupt("the blob of " + name + " is too small for its chunk at " + at_text(*at));
  }
  chunk->blob = number;
}

// Of several chunks at one place, at most one has elements.
Chunk* BlobFinder::find_chunk(Entry& entry, const std::vector<int64_t>& at) {
  by_place_.resize(index_.entries.size());
  std::vector<size_t>& order = by_place_[static_cast<size_t>(&entry - index_.entries.data())];
  if (order.empty()) {
    order.resize(entry.chunks.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t left, size_t right) {
      const Chunk &one = entry.chunks[left], &other = entry.chunks[right];
      if (one.at != other.at) return one.at < other.at;
      const bool has = *elements(one.sizes) > 0, other_has = *elements(other.sizes) > 0;
      return has != other_has ? has : left < right;
    });
  }
  const auto found = std::lower_bound(
      order.begin(), order.end(), at,
      [&](size_t chunk, const auto& place) { return entry.chunks[chunk].at < place; });
  if (found == order.end() || entry.chunks[*found].at != at) return nullptr;
  return &entry.chunks[*found];
}

void BlobFinder::finish() {
  for (const Entry& entry : index_.entries) {
    const std::string name = base::in_quotes(entry.key);
    if (!entry.is_tensor && !entry.blob) cells_.corrupt("storage_data lacks " + name);
    for (const Chunk& chunk : entry.chunks) {
      if (!chunk.blob && *elements(chunk.sizes) > 0) {
        cells_.corrupt("storage_data lacks the chunk of " + name + " at " + at_text(chunk.at));
      }
    }
  }
  check_overlap();
}

void BlobFinder::check_overlap() const {
  std::vector<Blob> blobs = index_.blobs;
  std::sort(blobs.begin(), blobs.end(), [](const Blob& left, const Blob& right) {
    return left.file != right.file ? left.file < right.file : left.offset < right.offset;
  });
  for (size_t i = 1; i < blobs.size(); ++i) {
    if (blobs[i].file == blobs[i - 1].file &&
        blobs[i].offset - blobs[i - 1].offset < blobs[i - 1].bytes) {
      cells_.corrupt("two blobs overlap in " + base::in_quotes(index_.files[blobs[i].file]) +
                     " at byte " + std::to_string(blobs[i].offset));
    }
  }
}

}  // namespace checkpoint::format::dcp
