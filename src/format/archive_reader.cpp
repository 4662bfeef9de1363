#include "format/archive_reader.h"

#include "format/in_quotes.h"
#include "format/pickle_reader.h"
#include "format/placeholders.h"
#include "format/zip_reader.h"

#include <checkpoint/error.h>

#include <optional>
#include <unordered_map>
#include <utility>

namespace checkpoint::format {

namespace {

constexpr uint64_t kMaxSmallRecord = 64;

[[noreturn]] void corrupt(const std::string& what, const store::ByteSource& source) {
  throw Error(ErrorCode::kCorrupt, what, source.name());
}

// The folder that everything lies in: the one with a data.pkl. With its slash.
std::string find_root(const ZipReader& zip) {
  constexpr std::string_view kPickle = "/data.pkl";
  std::optional<std::string> root;
  for (const ZipEntry& entry : zip.entries()) {
    const size_t slash = entry.name.find('/');
    if (slash == std::string::npos || entry.name.substr(slash) != kPickle) continue;
    if (root) corrupt("the archive has two data.pkl", zip.source());
    root = entry.name.substr(0, slash + 1);
  }
  if (!root) corrupt("the archive has no data.pkl: it is not one of LibTorch", zip.source());
  return *root;
}

// LibTorch 2 says in which order it wrote its numbers' bytes; 1.13 knows only one.
bool is_big_endian(const ZipReader& zip, const std::string& root) {
  const ZipEntry* entry = zip.find(root + "byteorder");
  if (entry == nullptr) return false;
  const std::string order = zip.read_stored(*entry, kMaxSmallRecord);
  if (order == "big") return true;
  if (order != "little") {
    throw Error(ErrorCode::kUnsupported, "the archive's byte order is " + in_quotes(order),
                zip.source().name());
  }
  return false;
}

// The records of the tensors. Each local header is read once, however many share a storage.
class Records {
 public:
  Records(const ZipReader& zip, const std::string& root) : zip_(zip), root_(root) {}

  const Record& find(const std::string& key) {
    const auto known = records_.find(key);
    if (known != records_.end()) return known->second;
    std::string name = "data/" + key;
    const ZipEntry* entry = zip_.find(root_ + name);
    if (entry == nullptr) {
      corrupt("the archive has a tensor, but not its record " + in_quotes(name), zip_.source());
    }
    if (!entry->stored()) {
      throw Error(ErrorCode::kUnsupported, "record " + in_quotes(name) + " is compressed",
                  zip_.source().name());
    }
    Record record{std::move(name), zip_.data_offset(*entry), entry->bytes};
    return records_.emplace(key, std::move(record)).first->second;
  }

 private:
  const ZipReader& zip_;
  const std::string& root_;
  std::unordered_map<std::string, Record> records_;
};

}  // namespace

DecodedArchive read_archive(const store::ByteSource& source, BigEndian big_endian) {
  const ZipReader zip(source);
  const std::string root = find_root(zip);
  const bool other_order = is_big_endian(zip, root);
  if (other_order && big_endian == BigEndian::kRefuse) {
    throw Error(ErrorCode::kUnsupported, "the archive's byte order is 'big'", source.name());
  }
  const std::string pickle = zip.read_stored(*zip.find(root + "data.pkl"), kMaxPickleBytes);

  Records records(zip, root);
  Placeholders placeholders(source, other_order);
  return placeholders.finish(read_pickle(pickle, source.name(), [&](const PickledTensor& tensor) {
    return placeholders.make(tensor, records.find(std::string(tensor.storage_key)));
  }));
}

}  // namespace checkpoint::format
