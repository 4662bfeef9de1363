#include "format/dcp/flatten.h"

#include "base/in_quotes.h"
#include "base/utf8.h"
#include "format/tree/path.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace checkpoint::format::dcp {
namespace {

// Whether a value stays in one piece. A dict never does, but an empty one has no pieces.
bool is_leaf(const Value& value) {
  if (value.is_dict()) return value.dict().empty();
  if (value.kind() != Value::Kind::kList) return true;
  return std::none_of(value.list().begin(), value.list().end(), [](const Value& element) {
    return element.is_tensor() || element.is_dict() || !is_leaf(element);
  });
}

class Flattening {
 public:
  std::vector<Leaf> run(const Dict& tree) {
    add_dict(tree);
    return std::move(leaves_);
  }

 private:
  void add(const Value& value) {
    if (path_.size() > static_cast<size_t>(Path::kMaxDepth)) {
      refuse("is nested deeper than " + std::to_string(Path::kMaxDepth));
    }
    if (is_leaf(value)) {
      add_leaf(value);
    } else if (value.is_dict()) {
      add_dict(value.dict());
    } else {
      for (size_t i = 0; i < value.list().size(); ++i) {
        path_.emplace_back(static_cast<int64_t>(i));
        add(value.list()[i]);
        path_.pop_back();
      }
    }
  }

  void add_dict(const Dict& dict) {
    for (const auto& [key, value] : dict) {
      path_.emplace_back(to_string(key));
      add(value);
      path_.pop_back();
    }
  }

  void add_leaf(const Value& value) {
    std::string key = key_of_path();
    if (!base::is_valid_utf8(key)) refuse("is not valid UTF-8, and Python could not read it");
    if (!keys_.insert(key).second) {
      refuse("is the name of two values, and a distributed checkpoint has each name once");
    }
    leaves_.push_back({std::move(key), path_, &value});
  }

  std::string key_of_path() const {
    std::string key;
    for (const Step& step : path_) {
      if (&step != &path_.front()) key += '.';
      key += to_string(step);
    }
    return key;
  }

  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(ErrorCode::kUnsupported, base::in_quotes(key_of_path()) + ' ' + why, "", 0,
                "Rename it, or save a .pth file.");
  }

  std::vector<Step> path_;
  std::vector<Leaf> leaves_;
  std::unordered_set<std::string> keys_;
};

}  // namespace

std::vector<Leaf> flatten(const Dict& tree) { return Flattening().run(tree); }

}  // namespace checkpoint::format::dcp
