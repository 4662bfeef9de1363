#include "format/archive_reader.h"

#include "format/in_quotes.h"
#include "format/pickle_reader.h"
#include "format/zip_reader.h"

#include <checkpoint/error.h>

#include <ATen/EmptyTensor.h>
#include <ATen/Functions.h>

#include <exception>
#include <limits>
#include <optional>
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
void check_byte_order(const ZipReader& zip, const std::string& root) {
  const ZipEntry* entry = zip.find(root + "byteorder");
  if (entry == nullptr) return;
  const std::string order = zip.read_stored(*entry, kMaxSmallRecord);
  if (order != "little") {
    throw Error(ErrorCode::kUnsupported, "the archive's byte order is " + in_quotes(order),
                zip.source().name());
  }
}

// How many elements of its storage a tensor reaches over, from its first one on; empty if the
// number does not fit, or if a size or stride is negative.
std::optional<int64_t> extent(at::IntArrayRef sizes, at::IntArrayRef strides) {
  int64_t last = 0;
  int64_t elements = 1;  // Without the empty dimensions: LibTorch multiplies these too.
  bool empty = false;
  for (size_t i = 0; i < sizes.size(); ++i) {
    int64_t reach = 0;
    if (sizes[i] < 0 || strides[i] < 0) return std::nullopt;
    if (sizes[i] == 0) {
      empty = true;
      continue;
    }
    if (__builtin_mul_overflow(sizes[i] - 1, strides[i], &reach) ||
        __builtin_add_overflow(last, reach, &last) ||
        __builtin_mul_overflow(elements, sizes[i], &elements)) {
      return std::nullopt;
    }
  }
  if (empty) return 0;
  if (last == std::numeric_limits<int64_t>::max()) return std::nullopt;
  return last + 1;
}

bool may_require_grad(c10::ScalarType dtype) {
  return c10::isFloatingType(dtype) || c10::isComplexType(dtype);
}

}  // namespace

/// Makes the placeholders of one archive, and the table of where their bytes lie.
class PlaceholderTable {
 public:
  PlaceholderTable(const ZipReader& zip, const std::string& root, DecodedArchive& archive)
      : zip_(zip), root_(root), archive_(archive) {}

  at::Tensor make(const PickledTensor& tensor) {
    const Record& record = find_record(std::string(tensor.storage_key));
    check(tensor, record);
    at::Tensor placeholder =
        at::detail::empty_strided_meta(tensor.sizes, tensor.strides, tensor.dtype);
    if (tensor.requires_grad) placeholder.set_requires_grad(true);
    archive_.table_.emplace(
        placeholder.unsafeGetTensorImpl(),
        DecodedArchive::Row{placeholder,
                            {record.offset, record.bytes, tensor.storage_offset,
                             device(std::string(tensor.location)), record.name}});
    return placeholder;
  }

 private:
  struct Record {
    std::string name;
    uint64_t offset;
    uint64_t bytes;
  };

  // Each local header is read once, however many tensors share the storage.
  const Record& find_record(const std::string& key) {
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

  // That the record is as large as its storage should be, and holds the whole tensor.
  void check(const PickledTensor& tensor, const Record& record) const {
    const uint64_t item_bytes = c10::elementSize(tensor.dtype);
    // LibTorch rounds down where a storage ends within an element.
    if (tensor.storage_numel < 0 ||
        static_cast<uint64_t>(tensor.storage_numel) != record.bytes / item_bytes) {
      corrupt("record " + in_quotes(record.name) + " has " + std::to_string(record.bytes) +
                  " bytes, which are not the " + std::to_string(tensor.storage_numel) + " " +
                  c10::toString(tensor.dtype) + " elements that it should hold",
              zip_.source());
    }
    const std::optional<int64_t> reach = extent(tensor.sizes, tensor.strides);
    if (!reach || tensor.storage_offset < 0 ||
        (*reach > 0 && (tensor.storage_offset > tensor.storage_numel ||
                        *reach > tensor.storage_numel - tensor.storage_offset))) {
      corrupt("a tensor reaches outside of its record " + in_quotes(record.name), zip_.source());
    }
    if (tensor.requires_grad && !may_require_grad(tensor.dtype)) {
      corrupt(std::string("a tensor of ") + c10::toString(tensor.dtype) + " requires a gradient",
              zip_.source());
    }
  }

  c10::Device device(const std::string& name) {
    const auto known = devices_.find(name);
    if (known != devices_.end()) return known->second;
    std::optional<c10::Device> device;
    try {
      device.emplace(name);
    } catch (const std::exception&) {
      // Reported below, in our own words.
    }
    if (!device || device->str() != name) {
      throw Error(ErrorCode::kUnsupported,
                  "a tensor was saved from the device " + in_quotes(name) +
                      ", which this LibTorch does not know",
                  zip_.source().name());
    }
    return devices_.emplace(name, *device).first->second;
  }

  const ZipReader& zip_;
  const std::string& root_;
  DecodedArchive& archive_;
  std::unordered_map<std::string, Record> records_;
  std::unordered_map<std::string, c10::Device> devices_;
};

const StoredTensor* DecodedArchive::find(const at::Tensor& placeholder) const {
  const auto found = table_.find(placeholder.unsafeGetTensorImpl());
  return found == table_.end() ? nullptr : &found->second.stored;
}

DecodedArchive read_archive(const store::ByteSource& source) {
  const ZipReader zip(source);
  const std::string root = find_root(zip);
  check_byte_order(zip, root);
  const std::string pickle = zip.read_stored(*zip.find(root + "data.pkl"), kMaxPickleBytes);

  DecodedArchive archive;
  PlaceholderTable placeholders(zip, root, archive);
  archive.tree_ = read_pickle(pickle, source.name(), [&](const PickledTensor& tensor) {
    return placeholders.make(tensor);
  });
  return archive;
}

at::Tensor load_tensor(const store::ByteSource& source, const DecodedArchive& archive,
                       const at::Tensor& placeholder) {
  const StoredTensor* stored = archive.find(placeholder);
  if (stored == nullptr) {
    throw Error(ErrorCode::kInvalidArgument, "the tensor is no placeholder of this archive",
                source.name());
  }
  at::Tensor tensor = at::empty_strided(placeholder.sizes(), placeholder.strides(),
                                        at::TensorOptions().dtype(placeholder.scalar_type()));
  if (tensor.numel() > 0) {
    const uint64_t item_bytes = tensor.element_size();
    const auto first = static_cast<uint64_t>(stored->storage_offset) * item_bytes;
    const auto reach = static_cast<uint64_t>(*extent(tensor.sizes(), tensor.strides()));
    source.read_at(stored->record_offset + first, tensor.data_ptr(), reach * item_bytes);
  }
  if (placeholder.requires_grad()) tensor.set_requires_grad(true);
  return tensor;
}

}  // namespace checkpoint::format
