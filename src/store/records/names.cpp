#include "store/records/names.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace checkpoint::store {
namespace {

constexpr char kContentStem[] = "checkpoint";
constexpr char kArchiveEnd[] = ".pt";
constexpr char kPthEnd[] = ".pth";
constexpr char kUnchangedStem[] = "unchanged-";
constexpr size_t kRankDigits = 5;
constexpr size_t kIdDigits = 16;

}  // namespace

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

namespace {

// Removes `text` from the beginning of `name`. Returns false if it is not there.
bool take(std::string_view& name, std::string_view text) {
  if (name.substr(0, text.size()) != text) return false;
  name.remove_prefix(text.size());
  return true;
}

bool take_digits(std::string_view& name) {
  size_t count = 0;
  while (count < name.size() && std::isdigit(static_cast<unsigned char>(name[count])) != 0) ++count;
  name.remove_prefix(count);
  return count >= kRankDigits;
}

std::string with_zeros(int64_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() < kRankDigits) digits.insert(0, kRankDigits - digits.size(), '0');
  return digits;
}

}  // namespace

bool is_content_file(const std::string& name) {
  std::string_view rest = name;
  if (!take(rest, kContentStem)) return false;
  if (take(rest, "-") && !(take_digits(rest) && take(rest, "-of-") && take_digits(rest))) {
    return false;
  }
  return rest == kArchiveEnd || rest == kPthEnd;
}

bool is_unchanged_file(const std::string& name) {
  std::string_view rest = name;
  if (!take(rest, kUnchangedStem) || rest.size() < kIdDigits) return false;
  if (rest.substr(0, kIdDigits).find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return false;
  }
  rest.remove_prefix(kIdDigits);
  return rest == kArchiveEnd || rest == kPthEnd;
}

bool holds_tensors(const std::string& name) {
  return is_content_file(name) || is_unchanged_file(name);
}

std::string unchanged_file(Format format, const std::string& id) {
  return kUnchangedStem + id + (format == Format::kPth ? kPthEnd : kArchiveEnd);
}

Format format_of(const std::string& name) {
  const size_t end = name.rfind('.');
  return end != std::string::npos && name.substr(end) == kPthEnd ? Format::kPth : Format::kArchive;
}

std::string content_file(Format format, int64_t rank, int64_t world_size) {
  std::string name = kContentStem;
  if (world_size > 1) name += "-" + with_zeros(rank) + "-of-" + with_zeros(world_size);
  return name + (format == Format::kPth ? kPthEnd : kArchiveEnd);
}

bool is_set_aside(const std::string& name) {
  static const std::string kSuffix = ".corrupt";
  const size_t at = name.rfind(kSuffix);
  if (at == std::string::npos) return false;
  const std::string rest = name.substr(at + kSuffix.size());
  if (rest.empty()) return true;
  return rest.size() > 1 && rest[0] == '-' &&
         std::all_of(rest.begin() + 1, rest.end(), [](unsigned char c) { return std::isdigit(c); });
}

bool is_checkpoint_name(const std::string& name) {
  return is_plain_name(name) && name[0] != '.' && !is_set_aside(name) && name != kLatestLink &&
         name != kBestLink;
}

}  // namespace checkpoint::store
