// LibTorch archives and .pth files: zip archives with a data.pkl. The pickle is decoded to a tree;
// each of its tensors becomes a placeholder for the record that holds its bytes. No tensor is read.

#include "format/torch/archive_reader.h"

#include "base/in_quotes.h"
#include "format/decode/placeholders.h"
#include "format/pickle/pickle_reader.h"
#include "format/zip/zip_reader.h"
#include "store/io/buffered_source.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace checkpoint::format {

namespace {

constexpr uint64_t kMaxSmallRecord = 64;

bool has_record(const ZipReader& zip, std::initializer_list<std::string_view> ends) {
  return std::any_of(zip.entries().begin(), zip.entries().end(), [&](const ZipEntry& entry) {
    return std::any_of(ends.begin(), ends.end(), [&](std::string_view end) {
      const std::string_view name = entry.name;
      return name.size() >= end.size() && name.substr(name.size() - end.size()) == end;
    });
  });
}

[[noreturn]] void refuse(const ZipReader& zip, const char* what, const char* hint) {
  throw Error(ErrorCode::kUnsupported, std::string("the archive has no data.pkl: it is ") + what,
              zip.source().name(), 0, hint);
}

// Says what a zip archive without data.pkl is.
[[noreturn]] void throw_foreign(const ZipReader& zip) {
  if (has_record(zip, {"archive_format", "serialized_exported_program.json"})) {
    refuse(zip, "a program that torch.export wrote (.pt2)",
           "In Python, save its weights: torch.save(torch.export.load(f).state_dict, g).");
  }
  if (has_record(zip, {".npy"})) {
    refuse(zip, "one of NumPy's arrays (.npz)",
           "In Python, save them as tensors: torch.from_numpy(x), for each x.");
  }
  if (has_record(zip, {".pth", ".pt", ".ckpt", ".bin", ".safetensors"})) {
    refuse(zip, "one of other files", "Unpack it, and load the file in it.");
  }
  if (has_record(zip, {"/model.json"})) {
    refuse(zip, "one of LibTorch 1.0 to 1.3", "Load and save it again with LibTorch 1.4 to 1.13.");
  }
  refuse(zip, "not one of LibTorch", "Give a file that torch.save or LibTorch wrote.");
}

// Returns the folder of the archive, with its slash: the one with a data.pkl.
std::string find_root(const ZipReader& zip) {
  constexpr std::string_view kPickle = "/data.pkl";
  std::optional<std::string> root;
  for (const ZipEntry& entry : zip.entries()) {
    const size_t slash = entry.name.find('/');
    if (slash == std::string_view::npos || entry.name.substr(slash) != kPickle) continue;
    if (root) {
      throw Error(ErrorCode::kUnsupported, "the archive has two data.pkl", zip.source().name(), 0,
                  "If it holds two files of PyTorch, unpack it, and load each.");
    }
    root = entry.name.substr(0, slash + 1);
  }
  if (!root) throw_foreign(zip);
  return *root;
}

// Reads data.pkl. The memory for reading grows with its size, and a short file must not ask for
// much. So a compressed one may have at most 1 MiB and 64 times its compressed size.
std::string read_data_pickle(const ZipReader& zip, const ZipEntry& entry) {
  constexpr uint64_t kFree = uint64_t{1} << 20;
  constexpr uint64_t kMostPerByte = 64;
  const uint64_t packed = std::min(entry.compressed_bytes, kMaxPickleBytes);
  if (entry.deflated() && entry.bytes > kFree + kMostPerByte * packed) {
    throw Error(ErrorCode::kUnsupported,
                "record " + base::in_quotes(entry.name) +
                    " would unfold into far more memory than its size explains",
                zip.source().name());
  }
  return zip.read(entry, kMaxPickleBytes);
}

// LibTorch 2 writes the byte order of its numbers into the archive; 1.13 knows only one order.
bool is_big_endian(const ZipReader& zip, const std::string& root) {
  const ZipEntry* entry = zip.find(root + "byteorder");
  if (entry == nullptr) return false;
  const std::string order = zip.read(*entry, kMaxSmallRecord);
  if (order == "big") return true;
  if (order != "little") {
    throw Error(ErrorCode::kUnsupported, "the archive's byte order is " + base::in_quotes(order),
                zip.source().name());
  }
  return false;
}

// Finds the records of the tensors. Reads each local header once, even if tensors share a record.
class Records {
 public:
  Records(const ZipReader& zip, const std::string& root)
      : zip_(zip), root_(root), records_(zip.entries().size()) {}

  const ByteRange& find(std::string_view key) {
    full_name_.assign(root_).append("data/").append(key);
    const ZipEntry* entry = find_entry();
    if (entry == nullptr) {
      store::throw_corrupt(
          "the archive has a tensor, but not its record " + base::in_quotes(short_name()),
          zip_.source());
    }
    const auto index = static_cast<size_t>(entry - zip_.entries().data());
    next_ = index + 1;
    auto& record = records_[index];
    if (record) return *record;
    zip_.need_known_method(*entry);
    const uint64_t offset = zip_.data_offset(*entry);
    record.emplace(ByteRange{short_name(), offset, entry->bytes});
    if (entry->deflated()) {
      record->deflated = Deflated{offset, entry->compressed_bytes, entry->bytes, entry->crc32};
    }
    return *record;
  }

 private:
  // Tensors usually come in the order of their records.
  const ZipEntry* find_entry() const {
    const bool is_next = next_ < records_.size() && zip_.entries()[next_].name == full_name_;
    return is_next ? &zip_.entries()[next_] : zip_.find(full_name_);
  }

  std::string short_name() const { return full_name_.substr(root_.size()); }

  const ZipReader& zip_;
  const std::string& root_;
  std::string full_name_;  // Of the record that is searched for.
  size_t next_ = 0;        // The one after the last that was found.
  std::vector<std::optional<ByteRange>> records_;
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
  return placeholders.finish(read_pickle(pickle, source.name(), [&](const TensorLayout& tensor) {
    if (tensor.bytes != nullptr) return placeholders.make_own(tensor);
    return placeholders.make(tensor, records.find(tensor.storage_key));
  }));
}

}  // namespace checkpoint::format
