// A directory of PyTorch's Distributed Checkpoint. `.metadata` says where each blob lies. A blob is
// a zip archive, as torch.save writes it, with one tensor or one value. Its placeholders are moved
// to their place in the whole file. The parts of a tensor become the parts of one placeholder, as
// for a checkpoint of several ranks.

#include "format/dcp/directory.h"

#include "base/in_quotes.h"
#include "base/shape_text.h"
#include "base/text.h"
#include "format/dcp/blob_check.h"
#include "format/dcp/tree.h"
#include "format/torch/archive_reader.h"
#include "format/tree/dense.h"
#include "format/tree/dtype.h"
#include "store/io/slice.h"

#include <checkpoint/error.h>

#include <ATen/EmptyTensor.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace checkpoint::format::dcp {
namespace {

// More files than these are opened only while they are read: a process may have 1,024 by default.
constexpr size_t kMostOpen = 256;

bool exists(store::FileSystem& fs, const std::string& path, const std::string& name) {
  return store::status_of(fs, store::join(path, name)).st_mode != 0;
}

std::string read_all(const store::File& file) {
  const uint64_t size = file.size();
  if (size > kMaxIndexBytes) {
    throw Error(ErrorCode::kUnsupported,
                "the index is too large: " + std::to_string(size) + " bytes. At most " +
                    std::to_string(kMaxIndexBytes) + " are read, about 350,000 parts of tensors",
                file.name());
  }
  std::string bytes(size, '\0');
  file.read_at(0, bytes.data(), bytes.size());
  return bytes;
}

// Refuses links and pipes, also on the way.
void need_plain_file(store::FileSystem& fs, const std::string& directory,
                     const std::string& relative) {
  for (size_t slash = relative.find('/');; slash = relative.find('/', slash + 1)) {
    const std::string path = store::join(directory, relative.substr(0, slash));
    const mode_t mode = store::status_of(fs, path).st_mode;
    const bool is_last = slash == std::string::npos;
    if (mode == 0) {
      throw Error(ErrorCode::kCorrupt, "this file of the checkpoint is missing", path, 0,
                  "Copy the whole directory again.");
    }
    if (is_last ? !S_ISREG(mode) : !S_ISDIR(mode)) {
      throw Error(ErrorCode::kCorrupt, "this is not a file, but a link or something else", path, 0,
                  "Copy the files themselves.");
    }
    if (is_last) return;
  }
}

store::File open_index(store::FileSystem& fs, const std::string& directory) {
  need_plain_file(fs, directory, kIndexFile);
  return store::File::open(fs, store::join(directory, kIndexFile));
}

}  // namespace

class BlobFile final : public store::ByteSource {
 public:
  BlobFile(store::FileSystem& fs, const std::string& path, bool stays_open)
      : fs_(fs), path_(path), open_(store::File::open(fs, path)), size_(open_->size()) {
    if (!stays_open) open_.reset();
  }

  const std::string& name() const override { return path_; }
  uint64_t size() const override { return size_; }
  void read_at(uint64_t offset, void* to, size_t count) const override {
    if (open_) return open_->read_at(offset, to, count);
    store::File::open(fs_, path_).read_at(offset, to, count);
  }
  void will_read(uint64_t offset, uint64_t count) const override {
    if (open_) open_->will_read(offset, count);
  }
  const store::File& file() const { return *open_; }

 private:
  store::FileSystem& fs_;
  const std::string path_;
  std::optional<store::File> open_;
  const uint64_t size_;
};

}  // namespace checkpoint::format::dcp

namespace checkpoint::format {

// Makes one archive of all blobs.
class DcpAssembly {
 public:
  DcpAssembly(const dcp::Directory& directory, const dcp::Index& index, const std::string& file)
      : directory_(directory), index_(index), file_(file) {}

  DecodedArchive run() {
    std::vector<Value> values;
    values.reserve(index_.entries.size());
    for (const dcp::Entry& entry : index_.entries) {
      values.push_back(entry.is_tensor ? Value(tensor_of(entry)) : value_of(entry));
    }
    result_.tree_ = dcp::tree_of(index_, std::move(values), file_);
    return std::move(result_);
  }

 private:
  Value value_of(const dcp::Entry& entry) { return take(index_.blobs[*entry.blob], entry); }

  at::Tensor tensor_of(const dcp::Entry& entry) {
    auto parts = std::make_shared<std::vector<StoredPart>>();
    for (const dcp::Chunk& chunk : entry.chunks) {
      if (!chunk.blob) continue;
      const at::Tensor part = take_chunk(chunk, entry);
      if (chunk.sizes == entry.sizes) return part;  // All of it, as it lies in the blob.
      if (part.numel() > 0) parts->push_back({chunk.at, part});
    }
    const at::IntArrayRef like =
        parts->empty() ? at::IntArrayRef() : parts->front().placeholder.strides();
    at::Tensor whole =
        at::detail::empty_strided_meta(entry.sizes, dense_strides(entry.sizes, like), entry.dtype);
    StoredTensor stored{0, 0, 0, c10::Device(c10::kCPU), entry.key};
    stored.parts = std::move(parts);
    result_.table_->rows.emplace(whole.unsafeGetTensorImpl(),
                                 DecodedArchive::Row{whole, std::move(stored)});
    return whole;
  }

  // Reads the blob of a chunk, which must hold that chunk and nothing else.
  at::Tensor take_chunk(const dcp::Chunk& chunk, const dcp::Entry& entry) {
    const dcp::Blob& blob = index_.blobs[*chunk.blob];
    const Value value = take(blob, entry);
    if (!value.is_tensor()) {
      corrupt(blob, entry, "it holds a " + kind_text(value) + " instead of a tensor");
    }
    const at::Tensor& tensor = value.to_tensor();
    const StoredTensor& stored = result_.table_->rows.at(tensor.unsafeGetTensorImpl()).stored;
    if (tensor.scalar_type() != entry.dtype) {
      corrupt(blob, entry,
              "it holds " + dtype_name(tensor.scalar_type()) + ", and the index says " +
                  dtype_name(entry.dtype));
    }
    if (tensor.sizes() != at::IntArrayRef(chunk.sizes)) {
      corrupt(blob, entry,
              "it holds the shape " + base::shape_text(tensor.sizes()) + ", and the index says " +
                  base::shape_text(chunk.sizes));
    }
    if (stored.deflated || stored.own != nullptr) {
      corrupt(blob, entry, "its tensor is packed, or inside the pickle");
    }
    return tensor;
  }

  // Decodes a blob, and takes its placeholders over, at their place in the whole file.
  Value take(const dcp::Blob& blob, const dcp::Entry& entry) {
    const store::ByteSource& file = directory_.file(blob.file);
    const store::Slice slice(file, blob.offset, blob.bytes);
    DecodedArchive archive = dcp::naming_the_key(
        entry.key, slice, [&] { return read_archive(slice, BigEndian::kSwap); });
    for (auto& row : archive.table_->rows) {
      StoredTensor& stored = row.second.stored;
      stored.file = blob.file;
      if (stored.own != nullptr) {
        stored.record_offset = file.size() + own_count_++;
      } else {
        stored.record_offset += blob.offset;
      }
      if (stored.deflated) stored.deflated->offset += blob.offset;
      result_.table_->rows.emplace(row.first, std::move(row.second));
    }
    return std::move(archive.tree_);
  }

  [[noreturn]] void corrupt(const dcp::Blob& blob, const dcp::Entry& entry,
                            const std::string& what) const {
    throw Error(ErrorCode::kCorrupt, "the blob of " + base::in_quotes(entry.key) + ": " + what,
                directory_.file(blob.file).name());
  }

  const dcp::Directory& directory_;
  const dcp::Index& index_;
  const std::string& file_;
  uint64_t own_count_ = 0;
  DecodedArchive result_;
};

}  // namespace checkpoint::format

namespace checkpoint::format::dcp {

bool is_checkpoint(store::FileSystem& fs, const std::string& path) {
  return exists(fs, path, kIndexFile);
}

void refuse_unreadable(store::FileSystem& fs, const std::string& path) {
  if (exists(fs, path, "__0.metadata")) {
    throw Error(ErrorCode::kUnsupported,
                "this distributed checkpoint was saved without a global plan: it has an index for "
                "each rank, and nothing says how many ranks there were",
                path, 0, "In Python, load it and save it again with use_collectives=True.");
  }
  if (exists(fs, path, "metadata.pkl")) {
    throw Error(ErrorCode::kUnsupported,
                "this directory is a checkpoint of the package torch_checkpointing", path, 0,
                "In Python, load it with that package and save it by torch.save.");
  }
  const std::vector<std::string> names = store::list_directory(fs, path);
  const bool has_blobs = std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return base::ends_with(name, ".distcp");
  });
  if (!has_blobs && !exists(fs, path, std::string(kIndexFile) + ".tmp")) return;
  throw Error(ErrorCode::kUnsupported,
              "this distributed checkpoint was not saved to its end: its .metadata is missing",
              path, 0, "Load an older one, or copy the whole directory again.");
}

Directory::Directory(store::FileSystem& fs, const std::string& path)
    : path_(path),
      index_file_(open_index(fs, path)),
      index_(read_index(read_all(index_file_), index_file_.name())) {
  const bool stay_open = index_.files.size() <= kMostOpen;
  for (const std::string& name : index_.files) {
    need_plain_file(fs, path_, name);
    files_.push_back(std::make_unique<BlobFile>(fs, store::join(path_, name), stay_open));
  }
  for (const Blob& blob : index_.blobs) {
    const uint64_t size = files_[blob.file]->size();
    if (blob.offset > size || blob.bytes > size - blob.offset) {
      throw Error(ErrorCode::kCorrupt,
                  "the file is truncated: it has " + std::to_string(size) +
                      " bytes, and the index names " + std::to_string(blob.offset + blob.bytes),
                  files_[blob.file]->name(), 0, "Copy the whole directory again.");
    }
  }
}

Directory::Directory(Directory&&) noexcept = default;
Directory::~Directory() = default;

const store::ByteSource& Directory::file(size_t index) const { return *files_.at(index); }

const store::File& Directory::one_file() const {
  return files_.size() == 1 ? files_.front()->file() : index_file_;
}

DecodedArchive Directory::decode() const {
  return DcpAssembly(*this, index_, index_file_.name()).run();
}

uint64_t Directory::verify() const {
  uint64_t bytes = index_file_.size();
  for (const Entry& entry : index_.entries) {
    const auto verify_blob = [&](size_t number) {
      const Blob& blob = index_.blobs[number];
      check_records(entry.key, store::Slice(*files_[blob.file], blob.offset, blob.bytes));
      bytes += blob.bytes;
    };
    if (entry.blob) verify_blob(*entry.blob);
    for (const Chunk& chunk : entry.chunks) {
      if (chunk.blob) verify_blob(*chunk.blob);
    }
  }
  decode();
  return bytes;
}

}  // namespace checkpoint::format::dcp
