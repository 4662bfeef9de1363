#include "store/records/tensor_parts.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <set>
#include <utility>

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

// Finds out whether parts overlap. Cuts them in groups where no part is cut, in one dimension after
// the other: what real programs divide falls apart at once, in n log n steps. Only the parts of a
// group that cannot be cut are compared with each other. The work is counted: parts may be laid out
// so that it grows with the square of their number.
class OverlapSearch {
 public:
  OverlapSearch(const std::vector<TensorPart>& parts, size_t dimensions)
      : parts_(parts), dimensions_(dimensions) {}

  std::optional<PartsFault> run() {
    std::vector<size_t> all(parts_.size());
    std::iota(all.begin(), all.end(), size_t{0});
    groups_.push_back({std::move(all), 0});
    while (!groups_.empty()) {
      Group group = std::move(groups_.back());
      groups_.pop_back();
      if (group.parts.size() < 2 || cut(group)) continue;
      if (const auto pair = compare(group.parts)) return pair;
      if (is_spent()) return PartsFault{Kind::kTangled};
    }
    return std::nullopt;
  }

 private:
  struct Group {
    std::vector<size_t> parts;
    size_t dimension;  // The one to cut first.
  };

  // About a second.
  static constexpr uint64_t kMostWork = uint64_t{1} << 28;
  static constexpr uint64_t kWorkPerPart = 64;

  bool is_spent() const { return work_ > kMostWork + kWorkPerPart * parts_.size(); }

  // Cuts a group at all places of one dimension where no part is cut. Returns false if there are
  // none in any dimension, or if the work is spent.
  bool cut(Group& group) {
    for (size_t i = 0; i < dimensions_ && !is_spent(); ++i) {
      const size_t along = (group.dimension + i) % dimensions_;
      sort(group.parts, along);
      const size_t known = groups_.size();
      size_t begin = 0;
      int64_t end = end_of(group.parts[0], along);
      for (size_t at = 1; at <= group.parts.size(); ++at) {
        if (at < group.parts.size() && parts_[group.parts[at]].at[along] < end) {
          end = std::max(end, end_of(group.parts[at], along));
          continue;
        }
        if (begin == 0 && at == group.parts.size()) break;
        groups_.push_back({{group.parts.begin() + static_cast<std::ptrdiff_t>(begin),
                            group.parts.begin() + static_cast<std::ptrdiff_t>(at)},
                           (along + 1) % dimensions_});
        begin = at;
        if (at < group.parts.size()) end = end_of(group.parts[at], along);
      }
      if (groups_.size() > known) return true;
    }
    return false;
  }

  // Compares each part only with those that begin before it ends, in one dimension.
  std::optional<PartsFault> compare(std::vector<size_t>& group) {
    const size_t along = dimensions_ == 0 ? 0 : most_divided(group);
    if (dimensions_ > 0) sort(group, along);
    for (size_t i = 0; i < group.size(); ++i) {
      const TensorPart& part = parts_[group[i]];
      for (size_t j = i + 1; j < group.size() && !is_spent(); ++j) {
        if (dimensions_ > 0 && parts_[group[j]].at[along] >= end_of(group[i], along)) break;
        ++work_;
        if (overlap(part, parts_[group[j]])) {
          return PartsFault{Kind::kOverlap, std::min(group[i], group[j]),
                            std::max(group[i], group[j])};
        }
      }
    }
    return std::nullopt;
  }

  // The dimension in which the parts begin at the most places.
  size_t most_divided(const std::vector<size_t>& group) const {
    size_t best = 0;
    size_t most = 0;
    for (size_t i = 0; i < dimensions_; ++i) {
      std::set<int64_t> places;
      for (const size_t part : group) places.insert(parts_[part].at[i]);
      if (places.size() > most) {
        most = places.size();
        best = i;
      }
    }
    return best;
  }

  int64_t end_of(size_t part, size_t along) const {
    return parts_[part].at[along] + parts_[part].shape[along];
  }

  void sort(std::vector<size_t>& group, size_t along) {
    work_ += 16 * group.size();
    std::stable_sort(group.begin(), group.end(), [&](size_t left, size_t right) {
      return parts_[left].at[along] < parts_[right].at[along];
    });
  }

  const std::vector<TensorPart>& parts_;
  const size_t dimensions_;
  std::vector<Group> groups_;
  uint64_t work_ = 0;
};

// Returns the first element that no part has; there is one. In each dimension its index is 0, or
// the end of a part. Returns nothing if it is not found soon.
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
  constexpr size_t kMostCompared = size_t{1} << 24;
  for (size_t compared = 0; compared <= kMostCompared; compared += parts.size() + 1) {
    for (size_t i = 0; i < shape.size(); ++i) element[i] = indices[i][choice[i]];
    const bool is_covered = std::any_of(parts.begin(), parts.end(),
                                        [&](const TensorPart& part) { return has(part, element); });
    if (!is_covered) return element;
    size_t i = shape.size();
    while (i > 0 && ++choice[i - 1] == indices[i - 1].size()) choice[--i] = 0;
    if (i == 0) return element;
  }
  return {};
}

}  // namespace

std::optional<PartsFault> find_fault(const std::vector<TensorPart>& parts,
                                     const std::vector<int64_t>& shape) {
  uint64_t covered = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!is_inside(parts[i], shape)) return PartsFault{Kind::kOutside, i};
    covered += elements(parts[i].shape);
  }
  if (const auto fault = OverlapSearch(parts, shape.size()).run()) return fault;
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
