#pragma once

#include <checkpoint/coordinator.h>
#include <checkpoint/error.h>

#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace test {

/// Keys and values that the ranks of one test share: threads of one process.
class SharedKeys {
 public:
  void put(const std::string& key, const std::string& value) {
    const std::lock_guard<std::mutex> hold(mutex_);
    values_[key] = value;
  }
  std::optional<std::string> try_get(const std::string& key) {
    const std::lock_guard<std::mutex> hold(mutex_);
    const auto found = values_.find(key);
    return found == values_.end() ? std::nullopt : std::make_optional(found->second);
  }
  void erase(const std::string& key) {
    const std::lock_guard<std::mutex> hold(mutex_);
    values_.erase(key);
  }
  std::vector<std::string> keys() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    std::vector<std::string> keys;
    for (const auto& entry : values_) keys.push_back(entry.first);
    return keys;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> values_;
};

/// One rank's coordinator over shared keys. Calls `before` before each call, which may throw.
class KeysCoordinator final : public checkpoint::Coordinator {
 public:
  KeysCoordinator(std::shared_ptr<SharedKeys> keys, int rank, int size)
      : keys_(std::move(keys)), rank_(rank), size_(size) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void put(const std::string& key, const std::string& value) override {
    if (before) before();
    keys_->put(key, value);
  }
  std::optional<std::string> try_get(const std::string& key) override {
    if (before) before();
    return keys_->try_get(key);
  }
  void erase(const std::string& key) override {
    if (before) before();
    keys_->erase(key);
  }

  std::function<void()> before;

 private:
  const std::shared_ptr<SharedKeys> keys_;
  const int rank_;
  const int size_;
};

/// Runs one function on each of `size` ranks, each a thread, and waits for all. Returns what each
/// threw, as "code: text"; "" for a rank that threw nothing.
inline std::vector<std::string> run_ranks(int size, const std::function<void(int rank)>& work) {
  std::vector<std::string> errors(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      std::string& error = errors[static_cast<size_t>(rank)];
      try {
        work(rank);
      } catch (const checkpoint::Error& failure) {
        error = std::string(checkpoint::to_string(failure.code())) + ": " + failure.what();
      } catch (const std::exception& failure) {
        error = std::string("not an Error: ") + failure.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

inline std::vector<std::string> no_errors(int size) {
  return std::vector<std::string>(static_cast<size_t>(size));
}

/// The coordinators of a run, one for each rank.
inline std::vector<std::shared_ptr<KeysCoordinator>> coordinators(
    int size, const std::shared_ptr<SharedKeys>& keys = std::make_shared<SharedKeys>()) {
  std::vector<std::shared_ptr<KeysCoordinator>> result;
  for (int rank = 0; rank < size; ++rank) {
    result.push_back(std::make_shared<KeysCoordinator>(keys, rank, size));
  }
  return result;
}

}  // namespace test
