#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory_resource>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace checkpoint::format {

/// The texts in a pickle's memo. Each has a number there. Most of a checkpoint's texts are numbers
/// themselves, those of storages and layers: these are found without a hash. Not thread-safe.
class TextMemo {
 public:
  /// Returns a text's number in the memo; nothing if it was not added before.
  std::optional<uint32_t> find(std::string_view text) const {
    const size_t value = value_of(text);
    if (value < by_value_.size() && by_value_[value] != kNone) return by_value_[value];
    if (value != kNoValue && !others_have_values_) return std::nullopt;
    const auto known = others_.find(text);
    if (known == others_.end()) return std::nullopt;
    return known->second;
  }

  /// Adds a text that is not there yet. The text is copied.
  void add(std::string_view text, uint32_t number) {
    const size_t value = value_of(text);
    if (value < by_value_.size() + kMostGap) {
      if (value >= by_value_.size()) by_value_.resize(value + 1, kNone);
      by_value_[value] = number;
      return;
    }
    if (value != kNoValue) others_have_values_ = true;
    others_.emplace(lasting(text), number);
  }

 private:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
  static constexpr size_t kNoValue = std::numeric_limits<size_t>::max() / 2;
  static constexpr size_t kMostDigits = 9;
  // A large value after a small one must not cost memory for all between.
  static constexpr size_t kMostGap = 256;

  // Returns what the text says as a decimal number, if only that text says it.
  static size_t value_of(std::string_view text) {
    const bool is_canonical =
        !text.empty() && text.size() <= kMostDigits && (text[0] != '0' || text.size() == 1);
    if (!is_canonical) return kNoValue;
    size_t value = 0;
    for (const char c : text) {
      if (c < '0' || c > '9') return kNoValue;
      value = 10 * value + static_cast<size_t>(c - '0');
    }
    return value;
  }

  std::string_view lasting(std::string_view text) {
    if (text.empty()) return {};
    auto* const copy = static_cast<char*>(arena_.allocate(text.size(), 1));
    std::memcpy(copy, text.data(), text.size());
    return {copy, text.size()};
  }

  std::vector<uint32_t> by_value_;
  bool others_have_values_ = false;
  std::pmr::monotonic_buffer_resource arena_;  // Entries come one by one, and go together.
  std::pmr::unordered_map<std::string_view, uint32_t> others_{&arena_};
};

}  // namespace checkpoint::format
