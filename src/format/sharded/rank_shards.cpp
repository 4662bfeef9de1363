// Reads the files that each rank wrote its shards to (PyTorch's HuggingFaceStorageWriter). Every
// file says in its metadata (DCP_SHARDING_INFO, a JSON text) at which element of the whole tensor
// each of its tensors begins. No file knows the whole tensor's shape. It is found from all of them,
// and the parts must then fill it.

#include "format/sharded/rank_shards.h"

#include "base/in_quotes.h"
#include "base/json.h"
#include "base/text.h"
#include "format/safetensors/safetensors.h"
#include "format/safetensors/safetensors_header.h"
#include "format/sharded/shard_assembly.h"
#include "store/records/tensor_parts.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <unordered_map>
#include <utility>

namespace checkpoint::format {
namespace {

constexpr char kShardingInfo[] = "DCP_SHARDING_INFO";
constexpr std::string_view kBegin = "shard-";
constexpr std::string_view kEnd = ".safetensors";

// Returns the number in the name, which is that of the rank plus one. 0 if the name has none.
size_t number_of(std::string_view name) {
  constexpr size_t kDigits = 5;
  constexpr size_t kMostDigits = 9;
  if (!base::begins_with(name, kBegin) || !base::ends_with(name, kEnd)) return 0;
  size_t number = 0;
  size_t at = kBegin.size();
  for (; at < name.size() && std::isdigit(static_cast<unsigned char>(name[at])); ++at) {
    number = number * 10 + static_cast<size_t>(name[at] - '0');
    if (at > kBegin.size() + kMostDigits) return 0;
  }
  const bool is_number = at >= kBegin.size() + kDigits && at < name.size() && name[at] == '-';
  return is_number ? number : 0;
}

// The number as it is in the names: "00002".
std::string number_text(size_t number) {
  const std::string digits = std::to_string(number);
  return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

// Where the tensors of one file begin in the whole ones, by name.
using Offsets = std::unordered_map<std::string, std::vector<int64_t>>;

Offsets read_offsets(const SafetensorsHeader& header, const std::string& path) {
  const auto info = header.metadata.find(kShardingInfo);
  if (info == header.metadata.end()) {
    throw Error(ErrorCode::kCorrupt,
                std::string("the metadata lacks '") + kShardingInfo +
                    "', which says where the tensors of this file belong",
                path);
  }
  const nlohmann::json document = base::parse_json(info->second, path);
  Offsets offsets;
  for (const auto& [name, entry] : document.items()) {
    if (!entry.is_object()) {
      throw Error(ErrorCode::kCorrupt,
                  std::string(kShardingInfo) + " has no offsets for " + base::in_quotes(name),
                  path);
    }
    std::vector<int64_t>& own = offsets[name];
    for (const nlohmann::json& offset : base::JsonFields(entry, path).array("saved_offsets")) {
      own.push_back(base::json_count(offset, "saved_offsets", path));
    }
  }
  return offsets;
}

// A tensor, and its parts in all files.
struct Whole {
  std::string name;
  std::vector<int64_t> shape;  // As far as the parts go.
  std::vector<StoredPart> parts;
  std::vector<const std::string*> files;  // Of each part.
};

class RankShards {
 public:
  explicit RankShards(const std::string& directory) : directory_(directory) {}

  void add_file(const store::File& file, size_t index) {
    Offsets offsets = read_offsets(read_safetensors_header(file), file.name());
    for (auto& [name, tensor] : assembly_.take(read_safetensors(file), index, file.name())) {
      const auto at = offsets.find(name);
      if (at == offsets.end()) {
        refuse(name, "the metadata does not say where its part in this file begins", file.name());
      }
      add_part(name, {std::move(at->second), tensor}, file.name());
      offsets.erase(at);
    }
    if (!offsets.empty()) {
      refuse(offsets.begin()->first, "the metadata gives its place, but the file does not hold it",
             file.name());
    }
  }

  DecodedArchive finish() {
    Dict tree;
    for (Whole& whole : wholes_) tree.insert(whole.name, put_together(whole));
    return assembly_.finish(std::move(tree), {});
  }

 private:
  [[noreturn]] static void refuse(const std::string& name, const std::string& what,
                                  const std::string& path) {
    throw Error(ErrorCode::kCorrupt, "the tensor " + base::in_quotes(name) + ": " + what, path);
  }

  void add_part(const std::string& name, StoredPart part, const std::string& path) {
    const auto [place, is_new] = positions_.emplace(name, wholes_.size());
    if (is_new) wholes_.push_back({name, std::vector<int64_t>(part.at.size()), {}, {}});
    Whole& whole = wholes_[place->second];
    const at::IntArrayRef sizes = part.placeholder.sizes();
    if (part.at.size() != sizes.size() || part.at.size() != whole.shape.size()) {
      refuse(name, "its parts do not have the same number of dimensions", path);
    }
    if (!is_new &&
        part.placeholder.scalar_type() != whole.parts.front().placeholder.scalar_type()) {
      refuse(name, "its parts are of several dtypes", path);
    }
    for (size_t i = 0; i < sizes.size(); ++i) {
      int64_t end = 0;
      if (__builtin_add_overflow(part.at[i], sizes[i], &end)) {
        refuse(name, "its part in this file begins at an impossible place", path);
      }
      whole.shape[i] = std::max(whole.shape[i], end);
    }
    whole.parts.push_back(std::move(part));
    whole.files.push_back(&path);
  }

  at::Tensor put_together(Whole& whole) {
    for (const StoredPart& part : whole.parts) {
      if (part.placeholder.sizes() == at::IntArrayRef(whole.shape) && whole.parts.size() == 1) {
        return part.placeholder;
      }
    }
    check(whole);
    // Empty parts hold nothing: a rank whose share of a small tensor was empty.
    const at::Tensor first = whole.parts.front().placeholder;
    std::vector<StoredPart> parts;
    for (StoredPart& part : whole.parts) {
      if (part.placeholder.numel() > 0) parts.push_back(std::move(part));
    }
    return parts.empty() ? first
                         : assembly_.add_in_parts(whole.shape, std::move(parts), whole.name);
  }

  void check(const Whole& whole) const {
    int64_t elements = 1;
    for (const int64_t size : whole.shape) {
      if (__builtin_mul_overflow(elements, std::max<int64_t>(size, 1), &elements)) {
        refuse(whole.name, "it is too large", directory_);
      }
    }
    std::vector<store::TensorPart> parts;
    std::vector<const std::string*> files;
    for (size_t i = 0; i < whole.parts.size(); ++i) {
      const at::Tensor& placeholder = whole.parts[i].placeholder;
      if (placeholder.numel() == 0) continue;
      parts.push_back({*whole.files[i], 0, 0, {}, whole.parts[i].at, placeholder.sizes().vec()});
      files.push_back(whole.files[i]);
    }
    const auto fault = store::find_fault(parts, whole.shape);
    if (!fault) return;
    if (fault->kind == store::PartsFault::Kind::kOverlap) {
      const auto text = [&](size_t i) {
        return store::region_text(parts[i].at, parts[i].shape) + " in '" + *files[i] + '\'';
      };
      refuse(whole.name, "its parts overlap: " + text(fault->one) + " and " + text(fault->other),
             directory_);
    }
    refuse(whole.name, "its parts do not cover it; a file may be missing", directory_);
  }

  const std::string& directory_;
  ShardAssembly assembly_;
  std::vector<Whole> wholes_;
  std::unordered_map<std::string, size_t> positions_;
};

}  // namespace

bool is_rank_shard(std::string_view name) { return number_of(name) > 0; }

std::vector<std::string> rank_shards_of(const std::vector<std::string>& names,
                                        const std::string& directory) {
  std::vector<std::string> shards;
  std::set<size_t> numbers;
  for (const std::string& name : names) {
    const size_t number = number_of(name);
    if (number == 0) continue;
    shards.push_back(name);
    numbers.insert(number);
  }
  std::sort(shards.begin(), shards.end());
  size_t expected = 1;
  for (const size_t number : numbers) {
    if (number != expected) {
      throw Error(ErrorCode::kNotFound,
                  "there are files of rank " + std::to_string(number - 1) + ", but none of rank " +
                      std::to_string(expected - 1) + " (shard-" + number_text(expected) + "-…)",
                  directory, 0, "Copy the files of all ranks into this directory.");
    }
    ++expected;
  }
  return shards;
}

DecodedArchive read_rank_shards(const std::vector<store::File>& files,
                                const std::string& directory) {
  RankShards shards(directory);
  for (size_t i = 0; i < files.size(); ++i) shards.add_file(files[i], i);
  return shards.finish();
}

}  // namespace checkpoint::format
