#pragma once

#include "support/handmade_zip.h"

#include <cstdint>
#include <string>

// Pieces of pickles, to be put one after the other.

namespace checkpoint::format::handmade {

inline std::string start() { return "\x80\x02"; }
inline std::string text(const std::string& value) { return "X" + little(value.size(), 4) + value; }
inline std::string integer(int64_t value) { return "\x8a\x08" + little(value, 8); }
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
/// Of all that is put in.
inline std::string tuple(const std::string& items) { return "(" + items + "t"; }
inline std::string list(const std::string& items) { return "](" + items + "e"; }
inline std::string dict(const std::string& items) { return "}(" + items + "u"; }
inline std::string object(const std::string& items, const std::string& name = "Module") {
  return global("__torch__", name) + ")\x81" + dict(items) + "b";
}
inline std::string ordered_dict() { return global("collections", "OrderedDict") + ")R"; }
inline std::string storage(const std::string& storage_class, const std::string& key,
                           const std::string& location, int64_t numel) {
  return tuple(text("storage") + global("torch", storage_class) + text(key) + text(location) +
               integer(numel)) +
         "Q";
}
inline std::string integers(const std::vector<int64_t>& values) {
  std::string items;
  for (const int64_t value : values) items += integer(value);
  return tuple(items);
}

/// A tensor; every field may be wrong.
struct Tensor {
  std::string storage_class = "FloatStorage";
  std::string key = "0";
  std::string location = "cpu";
  int64_t numel = 4;
  int64_t offset = 0;
  std::vector<int64_t> sizes = {4};
  std::vector<int64_t> strides = {1};
  bool requires_grad = false;
  std::string hooks = ordered_dict();
  std::string rest = {};

  std::string build() const {
    return global("torch._utils", "_rebuild_tensor_v2") +
           tuple(storage(storage_class, key, location, numel) + integer(offset) + integers(sizes) +
                 integers(strides) + (requires_grad ? "\x88" : "\x89") + hooks + rest) +
           "R";
  }
};

}  // namespace checkpoint::format::handmade
