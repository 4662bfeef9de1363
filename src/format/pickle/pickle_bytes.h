#pragma once

#include "base/little_endian.h"
#include "format/pickle/text_memo.h"

#include <checkpoint/error.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace checkpoint::format {

/// The bytes of a pickle in protocol 2, opcode by opcode. The source of the format is Python's
/// Lib/pickletools.py. What was written last can be remembered in the memo, and recalled by its
/// number. Not thread-safe.
class PickleBytes {
 public:
  /// `expected_bytes` are reserved: growing copies all that is there.
  explicit PickleBytes(size_t expected_bytes) { out_.reserve(expected_bytes); }

  /// Returns the pickle, with its end. Nothing may be written after that.
  std::string finish() {
    out_ += '.';
    return std::move(out_);
  }

  /// Opcodes without arguments.
  void ops(std::string_view opcodes) { out_ += opcodes; }

  void put_bool(bool value) { out_ += value ? '\x88' : '\x89'; }

  void put_int(int64_t value) {
    if (value >= 0 && value <= 0xff) {
      out_ += 'K';
      little(static_cast<uint64_t>(value), 1);
    } else if (value >= 0 && value <= 0xffff) {
      out_ += 'M';
      little(static_cast<uint64_t>(value), 2);
    } else if (value >= std::numeric_limits<int32_t>::min() &&
               value <= std::numeric_limits<int32_t>::max()) {
      out_ += 'J';
      little(static_cast<uint64_t>(value), 4);
    } else {
      out_ += "\x8a\x08";
      little(static_cast<uint64_t>(value), 8);
    }
  }

  /// An integer of any size, as two's complement.
  void put_long(const std::string& bytes) {
    const bool is_short = bytes.size() < 0x100;
    out_ += is_short ? '\x8a' : '\x8b';
    little(bytes.size(), is_short ? 1 : 4);
    out_ += bytes;
  }

  void put_double(double value) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    out_ += 'G';
    for (int shift = 56; shift >= 0; shift -= 8) out_ += static_cast<char>(bits >> shift);
  }

  /// A tuple of integers.
  template <typename Integers>
  void put_integers(const Integers& values) {
    out_ += '(';
    for (const int64_t value : values) put_int(value);
    out_ += 't';
  }

  /// A text that is not remembered. Throws Error(unsupported) if it is longer than 4 GiB.
  void put_text(std::string_view text) {
    if (text.size() > std::numeric_limits<uint32_t>::max()) {
      throw Error(ErrorCode::kUnsupported, "a text is longer than 4 GiB");
    }
    out_ += 'X';
    little(text.size(), 4);
    out_ += text;
  }
  /// Recalls a text, and returns its number. Empty if it was not remembered before.
  std::optional<uint32_t> recall_text(std::string_view text) {
    const std::optional<uint32_t> known = texts_.find(text);
    if (known) recall(*known);
    return known;
  }
  /// Writes a text and remembers it. It must not have been remembered before. Returns its number.
  uint32_t remember_text(std::string_view text) {
    put_text(text);
    const uint32_t number = remember();
    texts_.add(text, number);
    return number;
  }

  /// A class or a function. Written once, recalled later.
  void put_global(std::string_view module, std::string_view name) {
    // A linear search suffices: a pickle has few different names.
    for (const Named& known : globals_) {
      if (known.name == name && known.module == module) {
        recall(known.number);
        return;
      }
    }
    globals_.push_back({std::string(module), std::string(name), remember_global(module, name)});
  }
  /// One that the caller recalls by this number.
  uint32_t remember_global(std::string_view module, std::string_view name) {
    out_.append("c").append(module).append("\n").append(name).append("\n");
    return remember();
  }

  /// Puts the value that was written last into the memo, and returns its number there.
  uint32_t remember() {
    const uint32_t number = remembered_++;
    out_ += number < 0x100 ? 'q' : 'r';
    little(number, number < 0x100 ? 1 : 4);
    return number;
  }
  void recall(uint32_t number) {
    out_ += number < 0x100 ? 'h' : 'j';
    little(number, number < 0x100 ? 1 : 4);
  }

 private:
  struct Named {
    std::string module;
    std::string name;
    uint32_t number;
  };

  void little(uint64_t value, size_t width) { base::append_little_endian(out_, value, width); }

  std::string out_ = "\x80\x02";
  uint32_t remembered_ = 0;
  TextMemo texts_;
  std::vector<Named> globals_;
};

}  // namespace checkpoint::format
