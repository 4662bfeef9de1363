// Reads the index of a sharded model event by event: no more is kept than the names of its tensors
// and shards, and its metadata. Everything in it comes from outside. A shard's name becomes a path,
// so it is checked as huggingface_hub checks it, and a little more.

#include "format/sharded/shard_index.h"

#include "base/in_quotes.h"
#include "base/json.h"
#include "base/text.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <unordered_map>
#include <unordered_set>

namespace checkpoint::format {
namespace {

// The index, its metadata or its weight_map, and one value in it.
constexpr size_t kMostLevels = 3;

// Why a shard's name cannot be one; "" if it can.
std::string fault_of(const std::string& name, const ShardKind& kind) {
  if (name.empty()) return "is empty";
  if (name.find('\0') != std::string::npos) return "has a NUL byte";
  if (name.find('\\') != std::string::npos) return "has a backslash";
  if (name.size() > 1 && name[1] == ':') return "names a drive";
  if (name[0] == '/') return "is not relative to the index's directory";
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    if (part == "..") return "leads out of the index's directory";
    if (part.empty() || part == ".") return "has an empty part";
    begin = end + 1;
  }
  if (!base::ends_with(name, kind.shard_end)) {
    return "does not end with '" + std::string(kind.shard_end) + "', as those of this index must";
  }
  return {};
}

class IndexParser final : public base::JsonEvents {
 public:
  IndexParser(ShardIndex& index, const ShardKind& kind, const std::string& path)
      : index_(index), kind_(kind), path_(path) {}

  void require_weights() const {
    if (!has_weights_) fail("it has no 'weight_map'");
  }

  bool start_object(size_t) override {
    if (levels_ == 0) return enter(Place::kTop);
    if (levels_ == 1 && place_ == Place::kTop) {
      if (field_ == "weight_map") {
        has_weights_ = true;
        return enter(Place::kWeights);
      }
      return enter(field_ == "metadata" ? Place::kMetadata : Place::kIgnored);
    }
    require_no_weights();
    return enter(place_);
  }
  bool end_object() override { return leave(); }

  bool start_array(size_t) override {
    if (levels_ == 0) fail("it is not a JSON object");
    require_no_weights();
    require_no_field("an array");
    return enter(levels_ == 1 ? Place::kIgnored : place_);
  }
  bool end_array() override { return leave(); }

  bool key(std::string& name) override {
    if (levels_ == 1 && !top_fields_.insert(name).second) {
      fail("it has the field " + base::in_quotes(name) + " twice");
    }
    if (levels_ == 2 && place_ == Place::kMetadata && !metadata_fields_.insert(name).second) {
      fail("its metadata has the field " + base::in_quotes(name) + " twice");
    }
    if (place_ == Place::kWeights && !names_.insert(name).second) {
      fail("it names the tensor " + base::in_quotes(name) + " twice");
    }
    (levels_ == 1 ? field_ : name_) = std::move(name);
    return true;
  }

  bool string(std::string& text) override {
    if (place_ == Place::kWeights) {
      add_weight(text);
    } else {
      add_metadata(std::move(text));
    }
    return true;
  }
  bool null() override { return levels_ == 2 && place_ != Place::kWeights ? true : other(""); }
  bool boolean(bool value) override { return other(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return other(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    if (levels_ == 2 && place_ == Place::kMetadata && name_ == "total_size") {
      index_.total_bytes = value;
    }
    return other(std::to_string(value));
  }
  bool number_float(number_float_t, const string_t& text) override { return other(text); }

 private:
  enum class Place { kTop, kWeights, kMetadata, kIgnored };

  [[noreturn]] void malformed(size_t position, const std::string& reason) const override {
    fail("it is not JSON from byte " + std::to_string(position) +
         " on: " + base::in_quotes(reason));
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::kCorrupt, "the index of the shards cannot be read: " + what, path_, 0,
                "Download or save it again.");
  }

  bool enter(Place place) {
    if (++levels_ > kMostLevels) {
      fail("it is nested deeper than " + std::to_string(kMostLevels) + " levels");
    }
    place_ = place;
    return true;
  }
  bool leave() {
    if (--levels_ == 1) place_ = Place::kTop;
    return true;
  }

  void require_no_weights() const {
    if (place_ == Place::kWeights) {
      fail("the tensor " + base::in_quotes(name_) + " has a value that is not a shard's name");
    }
  }
  void require_no_field(const char* what) const {
    if (levels_ == 1 && (field_ == "weight_map" || field_ == "metadata")) {
      fail("its field '" + field_ + "' is " + what + ", not an object");
    }
  }

  bool other(const std::string& text) {
    if (levels_ == 0) fail("it is not a JSON object");
    require_no_weights();
    const bool is_no_metadata = text.empty() && field_ == "metadata";
    if (levels_ == 1 && !is_no_metadata) require_no_field("a bare value");
    add_metadata(text);
    return true;
  }

  void add_metadata(std::string text) {
    if (levels_ == 0) fail("it is not a JSON object");
    if (levels_ == 1 && !text.empty()) require_no_field("a bare value");
    if (levels_ == 2 && place_ == Place::kMetadata) index_.metadata[name_] = std::move(text);
  }

  void add_weight(const std::string& shard) {
    auto known = shards_.find(shard);
    if (known == shards_.end()) {
      const std::string fault = fault_of(shard, kind_);
      if (!fault.empty()) {
        fail("the tensor " + base::in_quotes(name_) + " is in the shard " + base::in_quotes(shard) +
             ", whose name " + fault);
      }
      known = shards_.emplace(shard, index_.shards.size()).first;
      index_.shards.push_back(shard);
    }
    index_.weights.emplace_back(name_, known->second);
  }

  ShardIndex& index_;
  const ShardKind& kind_;
  const std::string& path_;
  size_t levels_ = 0;  // How many objects and arrays are open.
  Place place_ = Place::kTop;
  bool has_weights_ = false;
  std::string field_;  // Of the index.
  std::string name_;   // Of a tensor, or a field of the metadata.
  std::unordered_set<std::string> top_fields_, metadata_fields_, names_;
  std::unordered_map<std::string, size_t> shards_;
};

bool are_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

}  // namespace

const std::vector<ShardKind>& shard_kinds() {
  static const std::vector<ShardKind> kinds = {{".safetensors.index.json", ".safetensors"},
                                               {".bin.index.json", ".bin"}};
  return kinds;
}

const ShardKind* index_kind(std::string_view name) {
  for (const ShardKind& kind : shard_kinds()) {
    const size_t slash = name.rfind('/');
    const std::string_view base = name.substr(slash == std::string_view::npos ? 0 : slash + 1);
    if (base.size() > kind.index_end.size() && base::ends_with(base, kind.index_end)) return &kind;
  }
  return nullptr;
}

std::string shard_name(std::string_view stem, std::string_view end, size_t number, size_t count) {
  char numbers[64];
  std::snprintf(numbers, sizeof(numbers), "-%05zu-of-%05zu", number, count);
  return std::string(stem) + numbers + std::string(end);
}

bool is_shard_name(std::string_view name, std::string_view stem, std::string_view end) {
  constexpr std::string_view kOf = "-of-";
  constexpr size_t kDigits = 5;
  if (name.size() <= stem.size() + end.size() || !base::begins_with(name, stem) ||
      !base::ends_with(name, end)) {
    return false;
  }
  std::string_view numbers = name.substr(stem.size(), name.size() - stem.size() - end.size());
  const size_t of = numbers.find(kOf);
  if (numbers[0] != '-' || of == std::string_view::npos) return false;
  const std::string_view number = numbers.substr(1, of - 1);
  const std::string_view count = numbers.substr(of + kOf.size());
  return number.size() >= kDigits && count.size() >= kDigits && are_digits(number) &&
         are_digits(count);
}

ShardIndex parse_shard_index(const std::string& text, const std::string& path) {
  const ShardKind* const kind = index_kind(path);
  if (kind == nullptr) {
    throw Error(ErrorCode::kInvalidArgument, "this is not the name of an index of shards", path, 0,
                "Name it model.safetensors.index.json or pytorch_model.bin.index.json.");
  }
  ShardIndex index;
  IndexParser parser(index, *kind, path);
  parser.read(text);
  parser.require_weights();
  return index;
}

}  // namespace checkpoint::format
