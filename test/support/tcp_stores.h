#pragma once

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cstddef>
#include <vector>

namespace test {

// Debian's LibTorch 2.14 has no libuv and nevertheless takes it for the default; 1.13 does not have
// the option.
template <typename Options>
auto do_without_libuv(Options& options, int) -> decltype(options.useLibUV, void()) {
  options.useLibUV = false;
}
template <typename Options>
void do_without_libuv(Options&, long) {}

/// A TCPStore for each of `size` ranks, all in this process. That of rank 0 serves the others.
inline std::vector<c10::intrusive_ptr<c10d::Store>> tcp_stores(size_t size) {
  c10d::TCPStoreOptions options;
  do_without_libuv(options, 0);
  options.port = 0;
  options.isServer = true;
  options.waitWorkers = false;
  const auto server = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  options.port = server->getPort();
  options.isServer = false;
  std::vector<c10::intrusive_ptr<c10d::Store>> stores = {server};
  while (stores.size() < size) {
    stores.push_back(c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options));
  }
  return stores;
}

}  // namespace test
