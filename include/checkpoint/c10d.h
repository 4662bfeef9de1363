#pragma once

// A coordinator over c10d, LibTorch's own engine for many processes. A header of its own: programs
// that do not use c10d include none of it, and this library does not need it.

#include <checkpoint/coordinator.h>
#include <checkpoint/error.h>

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace checkpoint {

/// A coordinator of any c10d::Store: TCPStore, FileStore, HashStore, PrefixStore. Uses only `set`,
/// `check`, `get` and `deleteKey`, and never waits for a key: a wait would block every other call
/// of this process on that store. Give it the store from which you made the process group, or one
/// of its own. Thread-safe, as c10d's own stores are.
class C10dCoordinator final : public Coordinator {
 public:
  /// Throws Error(invalid_argument) if the store is null or `rank` is not below `size`.
  C10dCoordinator(c10::intrusive_ptr<c10d::Store> store, int rank, int size)
      : store_(std::move(store)), rank_(rank), size_(size) {
    if (!store_) throw Error(ErrorCode::kInvalidArgument, "the c10d store is null");
    if (rank < 0 || rank >= size) {
      throw Error(
          ErrorCode::kInvalidArgument,
          "the rank " + std::to_string(rank) + " does not fit a size of " + std::to_string(size));
    }
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void put(const std::string& key, const std::string& value) override {
    std::vector<uint8_t> bytes(value.size() + 1, kFirstByte);
    std::copy(value.begin(), value.end(), bytes.begin() + 1);
    store_->set(key, bytes);
  }
  std::optional<std::string> try_get(const std::string& key) override {
    if (!store_->check({key})) return std::nullopt;
    const std::vector<uint8_t> bytes = store_->get(key);
    if (bytes.empty()) return std::nullopt;  // Not ours.
    return std::string(bytes.begin() + 1, bytes.end());
  }
  void erase(const std::string& key) override { store_->deleteKey(key); }

 private:
  // Before each value: TCPStore takes 200 ms to answer with an empty one, since it announces more
  // bytes to the system (MSG_MORE) and then sends none.
  static constexpr uint8_t kFirstByte = '=';

  const c10::intrusive_ptr<c10d::Store> store_;
  const int rank_;
  const int size_;
};

/// Makes a coordinator of a c10d store. Throws what C10dCoordinator throws.
inline std::shared_ptr<Coordinator> c10d_coordinator(c10::intrusive_ptr<c10d::Store> store,
                                                     int rank, int size) {
  return std::make_shared<C10dCoordinator>(std::move(store), rank, size);
}

}  // namespace checkpoint
