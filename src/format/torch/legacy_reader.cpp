// A file of PyTorch before 1.6:
//
//   pickle: a magic number    pickle: 1001    pickle: about the machine that wrote it
//   pickle: the object        pickle: the storages' keys, sorted
//   for each key: its number of elements (8 bytes), then its bytes, both little-endian on any
//   machine

#include "format/torch/legacy_reader.h"

#include "base/in_quotes.h"
#include "base/little_endian.h"
#include "format/decode/placeholders.h"
#include "format/pickle/pickle_reader.h"

#include <checkpoint/error.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace checkpoint::format {

namespace {

constexpr std::string_view kMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr int64_t kProtocol = 1001;
constexpr uint64_t kFirstWindow = uint64_t{64} << 10;

at::Tensor refuse_tensor(const TensorLayout&) {
  throw Error(ErrorCode::kCorrupt, "a tensor is where the file should describe itself");
}

// Reads one pickle after the other. The length of each is known only once it was read.
class Pickles {
 public:
  explicit Pickles(const store::ByteSource& source) : source_(source), bytes_(source.size()) {}

  uint64_t position() const { return position_; }

  // Calls `read(bytes, &end)` with the bytes from the current position on: first a few of them,
  // then more until they suffice.
  template <typename Read>
  void next(const Read& read) {
    const uint64_t left = std::min(bytes_ - position_, kMaxPickleBytes);
    for (uint64_t window = std::min(left, kFirstWindow);; window = std::min(left, window * 8)) {
      std::string pickle(window, '\0');
      source_.read_at(position_, pickle.data(), pickle.size());
      try {
        size_t end = 0;
        read(pickle, &end);
        position_ += end;
        return;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kCorrupt || window == left) throw;
      }
    }
  }

  Value next_value() {
    Value value;
    next([&](const std::string& pickle, size_t* end) {
      value = read_pickle(pickle, source_.name(), refuse_tensor, end);
    });
    return value;
  }

 private:
  const store::ByteSource& source_;
  uint64_t bytes_;
  uint64_t position_ = 0;
};

using StoragesByKey = std::unordered_map<std::string, PickledStorage>;

StoragesByKey by_key(const std::vector<PickledStorage>& storages, const store::ByteSource& source) {
  StoragesByKey result;
  for (const PickledStorage& storage : storages) {
    const auto& known = result.emplace(storage.key, storage).first->second;
    if (known.dtype != storage.dtype || known.numel != storage.numel) {
      store::throw_corrupt(
          "the storage " + base::in_quotes(storage.key) + " is described in two ways", source);
    }
  }
  return result;
}

// Finds where each storage's bytes are, from the list of keys and the length before each storage.
std::unordered_map<std::string, ByteRange> find_records(const Value& keys, uint64_t position,
                                                        const StoragesByKey& storages,
                                                        const store::ByteSource& source) {
  if (keys.kind() != Value::Kind::kList)
    store::throw_corrupt("the list of storages is missing", source);
  const uint64_t file_bytes = source.size();
  std::unordered_map<std::string, ByteRange> records;
  for (const Value& item : keys.list()) {
    if (item.kind() != Value::Kind::kString)
      store::throw_corrupt("a storage's key is not a string", source);
    const std::string& key = item.to_string();
    const auto storage = storages.find(key);
    if (storage == storages.end()) {
      store::throw_corrupt("no tensor refers to the storage " + base::in_quotes(key), source);
    }
    if (file_bytes - position < sizeof(uint64_t))
      store::throw_corrupt("the file is cut off", source);
    unsigned char length[sizeof(uint64_t)];
    source.read_at(position, length, sizeof(length));
    position += sizeof(length);
    const uint64_t numel = base::read_little_endian(length, sizeof(length));
    const auto& dtype = storage->second.dtype;
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(numel, dtype ? c10::elementSize(*dtype) : 1, &bytes) ||
        bytes > file_bytes - position) {
      store::throw_corrupt(
          "the storage " + base::in_quotes(key) + " claims more elements than the file holds",
          source);
    }
    if (!records.emplace(key, ByteRange{"storage " + key, position, bytes}).second) {
      store::throw_corrupt("two storages have the key " + base::in_quotes(key), source);
    }
    position += bytes;
  }
  if (position != file_bytes) store::throw_corrupt("bytes follow the last storage", source);
  return records;
}

}  // namespace

bool looks_like_legacy(std::string_view begin) {
  return begin.size() >= 2 && begin[0] == '\x80' && begin[1] >= 2 && begin[1] <= 5;
}

DecodedArchive read_legacy(const store::ByteSource& source) {
  Pickles pickles(source);
  const Value magic = pickles.next_value();
  if (magic.kind() != Value::Kind::kBigInt || magic.to_big_int().bytes != kMagic) {
    throw Error(ErrorCode::kUnsupported, "this is a pickle, but not one of torch.save",
                source.name());
  }
  const Value protocol = pickles.next_value();
  if (protocol.kind() != Value::Kind::kInt || protocol.to_int() != kProtocol) {
    throw Error(ErrorCode::kUnsupported, "the file's protocol is not 1001", source.name());
  }
  pickles.next_value();  // The sizes of the machine's types, which are not needed.

  // The object is read twice: the places of the storages are known only after the object and the
  // keys that follow it.
  const uint64_t object_at = pickles.position();
  StoragesByKey storages;
  pickles.next([&](const std::string& pickle, size_t* end) {
    storages = by_key(read_storages(pickle, source.name(), end), source);
  });
  const uint64_t object_bytes = pickles.position() - object_at;
  const Value keys = pickles.next_value();
  const auto records = find_records(keys, pickles.position(), storages, source);

  std::string object(object_bytes, '\0');
  source.read_at(object_at, object.data(), object.size());
  Placeholders placeholders(source);
  return placeholders.finish(read_pickle(object, source.name(), [&](const TensorLayout& tensor) {
    if (tensor.bytes != nullptr) return placeholders.make_own(tensor);
    const auto record = records.find(std::string(tensor.storage_key));
    if (record == records.end()) {
      store::throw_corrupt(
          "the storage " + base::in_quotes(tensor.storage_key) + " is not in the file", source);
    }
    return placeholders.make(tensor, record->second);
  }));
}

}  // namespace checkpoint::format
