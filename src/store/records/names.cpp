#include "store/records/names.h"

#include <algorithm>
#include <cctype>
#include <iterator>

namespace checkpoint::store {

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

bool is_content_file(const std::string& name) {
  return std::find(std::begin(kContentFiles), std::end(kContentFiles), name) !=
         std::end(kContentFiles);
}

const char* content_file(Format format) { return format == Format::kPth ? kPthFile : kArchiveFile; }

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
