#include "format/torch/archive_reader.h"

#include "format/decode/placeholders.h"
#include "format/pickle/pickle_reader.h"
#include "format/tree/in_quotes.h"
#include "format/zip/zip_reader.h"
#include "store/io/buffered_source.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace checkpoint::format {

namespace {

constexpr uint64_t kMaxSmallRecord = 64;

// The folder that everything lies in: the one with a data.pkl. With its slash.
std::string find_root(const ZipReader& zip) {
  constexpr std::string_view kPickle = "/data.pkl";
  std::optional<std::string> root;
  for (const ZipEntry& entry : zip.entries()) {
    const size_t slash = entry.name.find('/');
    if (slash == std::string::npos || entry.name.substr(slash) != kPickle) continue;
    if (root) store::throw_corrupt("the archive has two data.pkl", zip.source());
    root = entry.name.substr(0, slash + 1);
  }
  if (!root)
    store::throw_corrupt("the archive has no data.pkl: it is not one of LibTorch", zip.source());
  return *root;
}

// Packed, it may be some times as large, but not so many times that a short file could ask for much
// memory: what reading takes grows with it.
std::string read_data_pickle(const ZipReader& zip, const ZipEntry& entry) {
  constexpr uint64_t kFree = uint64_t{1} << 20;
  constexpr uint64_t kMostPerByte = 64;
  const uint64_t packed = std::min(entry.compressed_bytes, kMaxPickleBytes);
  if (entry.deflated() && entry.bytes > kFree + kMostPerByte * packed) {
    throw Error(ErrorCode::kUnsupported,
                "record " + in_quotes(entry.name) +
                    " would unfold into far more memory than its size explains",
                zip.source().name());
  }
  return zip.read(entry, kMaxPickleBytes);
}

// LibTorch 2 says in which order it wrote its numbers' bytes; 1.13 knows only one.
bool is_big_endian(const ZipReader& zip, const std::string& root) {
  const ZipEntry* entry = zip.find(root + "byteorder");
  if (entry == nullptr) return false;
  const std::string order = zip.read(*entry, kMaxSmallRecord);
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
  Records(const ZipReader& zip, const std::string& root)
      : zip_(zip), root_(root), records_(zip.entries().size()) {}

  const Record& find(std::string_view key) {
    full_name_.assign(root_).append("data/").append(key);
    const ZipEntry* entry = find_entry();
    if (entry == nullptr) {
      store::throw_corrupt(
          "the archive has a tensor, but not its record " + in_quotes(short_name()), zip_.source());
    }
    const auto index = static_cast<size_t>(entry - zip_.entries().data());
    next_ = index + 1;
    auto& record = records_[index];
    if (record) return *record;
    zip_.need_known_method(*entry);
    const uint64_t offset = zip_.data_offset(*entry);
    record.emplace(Record{short_name(), offset, entry->bytes});
    if (entry->deflated()) {
      record->deflated = Deflated{offset, entry->compressed_bytes, entry->bytes, entry->crc32};
    }
    return *record;
  }

 private:
  // Tensors come in the order of their records, as a rule.
  const ZipEntry* find_entry() const {
    const bool is_next = next_ < records_.size() && zip_.entries()[next_].name == full_name_;
    return is_next ? &zip_.entries()[next_] : zip_.find(full_name_);
  }

  std::string short_name() const { return full_name_.substr(root_.size()); }

  const ZipReader& zip_;
  const std::string& root_;
  std::string full_name_;  // Of the record that is looked for.
  size_t next_ = 0;        // The one behind the last that was found.
  std::vector<std::optional<Record>> records_;
};

}  // namespace

DecodedArchive read_archive(const store::ByteSource& source, BigEndian big_endian) {
  const store::BufferedSource buffered(source);
  const ZipReader zip(buffered);
  const std::string root = find_root(zip);
  const bool other_order = is_big_endian(zip, root);
  if (other_order && big_endian == BigEndian::kRefuse) {
    throw Error(ErrorCode::kUnsupported, "the archive's byte order is 'big'", source.name());
  }
  const std::string pickle = read_data_pickle(zip, *zip.find(root + "data.pkl"));

  Records records(zip, root);
  Placeholders placeholders(source, other_order, zip.entries().size());
  return placeholders.finish(read_pickle(pickle, source.name(), [&](const PickledTensor& tensor) {
    return placeholders.make(tensor, records.find(tensor.storage_key));
  }));
}

}  // namespace checkpoint::format
