// Writes a directory of PyTorch's Distributed Checkpoint:
//
//   1. Create the directory. Python would write over an older checkpoint in it; this refuses one.
//   2. Write the blobs into one file, and sync it.
//   3. Write the index as `.metadata.tmp`, and sync it and the directory.
//   4. Rename it to `.metadata`, and sync the directory. Before that, the save does not count.

#include "format/dcp/writer.h"

#include "base/in_quotes.h"
#include "format/dcp/flatten.h"
#include "format/dcp/index_writer.h"
#include "format/torch/pth_writer.h"
#include "format/tree/dense.h"
#include "format/tree/opaque.h"
#include "store/io/file.h"
#include "store/io/file_sink.h"

#include <checkpoint/error.h>

#include <cerrno>
#include <utility>

namespace checkpoint::format::dcp {
namespace {

constexpr char kBlobFile[] = "__0_0.distcp";
constexpr char kUnfinishedIndex[] = ".metadata.tmp";
// As the records in a blob: so they can be mapped.
constexpr uint64_t kAlignment = 64;

// Counts what it hands on.
class CountedSink final : public store::ByteSink {
 public:
  explicit CountedSink(store::ByteSink& sink) : sink_(sink) {}

  void write(const void* data, size_t count) override {
    sink_.write(data, count);
    written_ += count;
  }
  void write_lasting(const void* data, size_t count, store::Sums* sums) override {
    sink_.write_lasting(data, count, sums);
    written_ += count;
  }
  void write_late(size_t count, const Fill& fill) override {
    sink_.write_late(count, fill);
    written_ += count;
  }
  void drain() override { sink_.drain(); }
  void align() {
    static constexpr char kZeros[kAlignment] = {};
    write(kZeros, (kAlignment - written_ % kAlignment) % kAlignment);
  }
  uint64_t written() const { return written_; }

 private:
  store::ByteSink& sink_;
  uint64_t written_ = 0;
};

// What the error of a leaf says is the place inside of it; the key is added.
[[noreturn]] void throw_of_leaf(const Error& error, const std::string& key) {
  if (error.code() != ErrorCode::kUnsupported) throw error;
  throw Error(error.code(), "cannot save " + base::in_quotes(key) + ": " + error.what());
}

// Writes one blob. Returns the tensor that was written; undefined for any other value.
at::Tensor write_blob(const Leaf& leaf, store::ByteSink& sink) {
  if (!leaf.value->is_tensor()) {
    if (leaf.value->kind() == Value::Kind::kOpaque) refuse_to_save(leaf.value->opaque(), leaf.key);
    try {
      write_pth(*leaf.value, sink);
    } catch (const Error& error) {
      throw_of_leaf(error, leaf.key);
    }
    return {};
  }
  Densifier densifier;
  const Value dense = densifier.densify(*leaf.value, leaf.key);
  const at::Tensor detached = dense.to_tensor().detach();
  write_pth(detached, sink);
  return detached;
}

// Returns the index.
std::string write_blobs(const std::vector<Leaf>& leaves, store::FileSink& file) {
  CountedSink sink(file);
  IndexWriter index(kBlobFile);
  for (const Leaf& leaf : leaves) {
    sink.align();
    const uint64_t begin = sink.written();
    const at::Tensor tensor = write_blob(leaf, sink);
    index.add(leaf, tensor, begin, sink.written() - begin);
  }
  file.finish(kBlobFile);
  return index.finish();
}

// Returns whether it was created.
bool make_empty_directory(store::FileSystem& fs, const std::string& path) {
  if (store::status_of(fs, path).st_mode == 0) {
    store::create_with_parents(fs, path);
    return true;
  }
  if (!store::is_directory(fs, path)) {
    throw Error(ErrorCode::kInvalidArgument, "not a directory", path, 0,
                "A distributed checkpoint is a directory: name a new one.");
  }
  if (!store::list_directory(fs, path).empty()) {
    throw Error(ErrorCode::kInvalidArgument, "not written: this directory is not empty", path, 0,
                "Name a new directory: an older checkpoint is not replaced.");
  }
  return false;
}

void commit(store::FileSystem& fs, const std::string& directory, const std::string& index) {
  const std::string unfinished = store::join(directory, kUnfinishedIndex);
  const std::string finished = store::join(directory, kIndexFile);
  store::FileSink sink(fs, unfinished);
  sink.write(index);
  sink.finish(kUnfinishedIndex);
  store::sync_directory(fs, directory);
  if (fs.rename(unfinished.c_str(), finished.c_str()) != 0) {
    throw store::system_failure("rename the finished index to its name", finished, errno);
  }
}

}  // namespace

void write_directory(store::FileSystem& fs, const Dict& tree, const std::string& path) {
  const std::vector<Leaf> leaves = flatten(tree);
  const bool is_new = make_empty_directory(fs, path);
  // Fails if the file exists: of two programs that write here at once, only one goes on.
  const std::string blobs = store::join(path, kBlobFile);
  store::FileSink file(fs, blobs);
  try {
    commit(fs, path, write_blobs(leaves, file));
  } catch (...) {
    fs.unlink(store::join(path, kUnfinishedIndex).c_str());
    fs.unlink(blobs.c_str());
    if (is_new) fs.rmdir(path.c_str());
    throw;
  }
  store::sync_directory(fs, path);  // If this fails, the checkpoint is whole, but perhaps not safe.
}

}  // namespace checkpoint::format::dcp
