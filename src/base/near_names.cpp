#include "base/near_names.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace checkpoint::base {
namespace {

// The cost of the search is wanted times known, and a person would not read more names than these.
constexpr size_t kMostWanted = 50;
constexpr size_t kMostKnown = 2000;
constexpr size_t kMostNear = 3;
constexpr size_t kMostListed = 10;

// Returns how many characters of a name may differ.
size_t most_distance(size_t length) { return std::max<size_t>(2, length / 4); }

// Returns how many parts a dotted name has.
size_t parts_of(const std::string& name) {
  return 1 + static_cast<size_t>(std::count(name.begin(), name.end(), '.'));
}

// Returns how many parts at their ends two dotted names share: "encoder.0.weight" and
// "module.encoder.0.weight" share three.
size_t shared_tail_parts(const std::string& left, const std::string& right) {
  size_t parts = 0, i = left.size(), j = right.size();
  while (i > 0 && j > 0 && left[i - 1] == right[j - 1]) {
    --i;
    --j;
    if (left[i] == '.') ++parts;
  }
  return i == 0 || j == 0 ? parts + 1 : parts;
}

// A known name that may have been meant, by its place in `known`.
struct Candidate {
  size_t distance;
  size_t other_parts;  // Parts that the two do not share at their ends.
  size_t wanted;
  size_t known;

  bool operator<(const Candidate& other) const {
    return std::tie(distance, other_parts, wanted, known) <
           std::tie(other.distance, other.other_parts, other.wanted, other.known);
  }
};

std::vector<Candidate> candidates_of(const std::vector<std::string>& wanted,
                                     const std::vector<std::string>& known) {
  std::vector<Candidate> candidates;
  for (size_t w = 0; w < std::min(wanted.size(), kMostWanted); ++w) {
    const Glob name = Glob::of_text(wanted[w]);
    for (size_t k = 0; k < std::min(known.size(), kMostKnown); ++k) {
      // An additional or missing prefix ("module.") does not count.
      const size_t shared = shared_tail_parts(wanted[w], known[k]);
      const size_t distance = shared >= 2 ? 1 : name.distance(known[k]);
      if (distance > most_distance(wanted[w].size())) continue;
      const size_t parts = parts_of(wanted[w]) + parts_of(known[k]);
      candidates.push_back({distance, parts - std::min(parts, 2 * shared), w, k});
    }
  }
  return candidates;
}

std::string sentence(const std::vector<std::string>& near, const std::vector<std::string>& known) {
  if (near.size() == 1) return "; the nearest is " + listed(near);
  if (!near.empty()) return "; the nearest are " + listed(near);
  return (known.size() == 1 ? "; there is " : "; there are ") + listed(known);
}

}  // namespace

std::vector<std::string> nearest_names(const std::vector<std::string>& wanted,
                                       const std::vector<std::string>& known) {
  std::vector<Candidate> candidates = candidates_of(wanted, known);
  std::sort(candidates.begin(), candidates.end());
  std::vector<std::string> nearest(wanted.size());
  std::vector<bool> given(known.size(), false);
  for (const Candidate& candidate : candidates) {
    if (given[candidate.known] || !nearest[candidate.wanted].empty()) continue;
    nearest[candidate.wanted] = known[candidate.known];
    given[candidate.known] = true;
  }
  return nearest;
}

std::vector<std::string> near_names(const Glob& glob, const std::vector<std::string>& known) {
  std::vector<std::pair<size_t, size_t>> near;  // Distance, and place in `known`.
  for (size_t k = 0; k < std::min(known.size(), kMostKnown); ++k) {
    const size_t distance = glob.distance(known[k]);
    if (distance <= most_distance(glob.length())) near.emplace_back(distance, k);
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(near.size(), kMostNear); ++i) {
    names.push_back(known[near[i].second]);
  }
  return names;
}

std::string listed(const std::vector<std::string>& names) {
  if (names.empty()) return "none";
  const size_t shown = names.size() > kMostListed + 1 ? kMostListed : names.size();
  std::string text;
  for (size_t i = 0; i < shown; ++i) {
    const bool is_last = i + 1 == shown && shown == names.size();
    if (i > 0) text += is_last ? " and " : ", ";
    text += "'" + names[i] + "'";
  }
  if (shown < names.size()) text += " and " + std::to_string(names.size() - shown) + " more";
  return text;
}

std::string instead_of(const std::string& wanted, const std::vector<std::string>& known) {
  const std::string nearest = nearest_names({wanted}, known).front();
  return sentence(nearest.empty() ? std::vector<std::string>() : std::vector<std::string>{nearest},
                  known);
}

std::string instead_of(const Glob& wanted, const std::vector<std::string>& known) {
  return sentence(near_names(wanted, known), known);
}

}  // namespace checkpoint::base
