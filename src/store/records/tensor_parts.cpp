#include "store/records/tensor_parts.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace checkpoint::store {
namespace {

using Kind = PartsFault::Kind;

bool is_inside(const TensorPart& part, const std::vector<int64_t>& shape) {
  if (part.at.size() != shape.size() || part.shape.size() != shape.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (part.at[i] < 0 || part.shape[i] <= 0 || part.at[i] > shape[i] ||
        part.shape[i] > shape[i] - part.at[i]) {
      return false;
    }
  }
  return true;
}

bool overlap(const TensorPart& left, const TensorPart& right) {
  for (size_t i = 0; i < left.at.size(); ++i) {
    if (left.at[i] >= right.at[i] + right.shape[i] || right.at[i] >= left.at[i] + left.shape[i]) {
      return false;
    }
  }
  return true;
}

bool has(const TensorPart& part, const std::vector<int64_t>& element) {
  for (size_t i = 0; i < element.size(); ++i) {
    if (element[i] < part.at[i] || element[i] >= part.at[i] + part.shape[i]) return false;
  }
  return true;
}

uint64_t elements(const std::vector<int64_t>& shape) {
  uint64_t count = 1;
  for (const int64_t size : shape) count *= static_cast<uint64_t>(size);
  return count;
}

// The dimension in which the parts begin at the most places.
size_t most_divided(const std::vector<TensorPart>& parts, size_t dimensions) {
  size_t best = 0;
  size_t most = 0;
  for (size_t i = 0; i < dimensions; ++i) {
    std::set<int64_t> places;
    for (const TensorPart& part : parts) places.insert(part.at[i]);
    if (places.size() > most) {
      most = places.size();
      best = i;
    }
  }
  return best;
}

// Compares each part only with those that begin before it ends, in one dimension.
std::optional<PartsFault> find_overlap(const std::vector<TensorPart>& parts, size_t dimensions) {
  if (dimensions == 0) {
    if (parts.size() < 2) return std::nullopt;
    return PartsFault{Kind::kOverlap, 0, 1};
  }
  const size_t along = most_divided(parts, dimensions);
  std::vector<size_t> order(parts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t left, size_t right) {
    return parts[left].at[along] < parts[right].at[along];
  });
  for (size_t i = 0; i < order.size(); ++i) {
    const TensorPart& part = parts[order[i]];
    const int64_t end = part.at[along] + part.shape[along];
    for (size_t j = i + 1; j < order.size() && parts[order[j]].at[along] < end; ++j) {
      if (overlap(part, parts[order[j]])) {
        return PartsFault{Kind::kOverlap, std::min(order[i], order[j]),
                          std::max(order[i], order[j])};
      }
    }
  }
  return std::nullopt;
}

// Returns the first element that no part has; there is one. In each dimension its index is 0, or
// the end of a part.
std::vector<int64_t> find_gap(const std::vector<TensorPart>& parts,
                              const std::vector<int64_t>& shape) {
  std::vector<std::vector<int64_t>> indices;
  for (size_t i = 0; i < shape.size(); ++i) {
    std::set<int64_t> ends = {0};
    for (const TensorPart& part : parts) ends.insert(part.at[i] + part.shape[i]);
    ends.erase(shape[i]);
    indices.emplace_back(ends.begin(), ends.end());
  }
  std::vector<size_t> choice(shape.size());
  std::vector<int64_t> element(shape.size());
  for (;;) {
    for (size_t i = 0; i < shape.size(); ++i) element[i] = indices[i][choice[i]];
    const bool is_covered = std::any_of(parts.begin(), parts.end(),
                                        [&](const TensorPart& part) { return has(part, element); });
    if (!is_covered) return element;
    size_t i = shape.size();
    while (i > 0 && ++choice[i - 1] == indices[i - 1].size()) choice[--i] = 0;
    if (i == 0) return element;
  }
}

}  // namespace

std::optional<PartsFault> find_fault(const std::vector<TensorPart>& parts,
                                     const std::vector<int64_t>& shape) {
  uint64_t covered = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!is_inside(parts[i], shape)) return PartsFault{Kind::kOutside, i};
    covered += elements(parts[i].shape);
  }
  if (const auto fault = find_overlap(parts, shape.size())) return fault;
  if (covered == elements(shape)) return std::nullopt;
  return PartsFault{Kind::kGap, 0, 0, find_gap(parts, shape)};
}

std::string region_text(const std::vector<int64_t>& at, const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < at.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(at[i]) + ':' + std::to_string(at[i] + shape[i]);
  }
  return text + ']';
}

}  // namespace checkpoint::store
