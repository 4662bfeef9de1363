// Makes the names of checkpoints. The constructor splits the template into texts and fields, and
// tries each field, so that a mistake is found before training. `render` fills the fields, replaces
// what a file name cannot contain, and avoids the names that this library uses itself.

#include "manager/name_template.h"

#include "base/utf8.h"
#include "store/records/names.h"

#include <checkpoint/error.h>

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <utility>

namespace checkpoint::manager {
namespace {

constexpr size_t kMaxBytes = 200;
// A longer width or precision only makes fmt allocate memory.
constexpr size_t kMaxDigits = 3;

[[noreturn]] void refuse(const std::string& text, const std::string& why) {
  throw Error(
      ErrorCode::kInvalidArgument, "the name template \"" + text + "\" " + why, "", 0,
      "Write fields as {epoch:04d}, {step}, {loss:.3f} or {metric:.4f}, and a brace as {{.");
}

template <typename T>
std::string format(const std::string& specification, T value) {
  return fmt::format(fmt::runtime(specification), value);
}

// Does the same, but never throws for a value that fmt cannot write with this specification
// ("{epoch:c}"). Such a value must not prevent a checkpoint.
template <typename T>
std::string format_always(const std::string& specification, T value) {
  try {
    return format(specification, value);
  } catch (const fmt::format_error&) {
    return format("{}", value);
  }
}

bool has_long_number(const std::string& text) {
  size_t digits = 0;
  for (const char c : text) {
    digits = std::isdigit(static_cast<unsigned char>(c)) != 0 ? digits + 1 : 0;
    if (digits > kMaxDigits) return true;
  }
  return false;
}

// Formats a loss or a metric. In fixed notation, a value that is not set yet or has diverged can
// have 309 digits. They would push what follows out of the name. Such a value gets its shortest
// form.
std::string format_number(const std::string& specification, double figure) {
  constexpr size_t kLongest = 40;
  constexpr double kHuge = 1e16;  // A smaller number is only long if its specification says so.
  const std::string text = format_always(specification, figure);
  const bool runs_on = text.size() > kLongest && std::abs(figure) >= kHuge;
  return runs_on ? format("{}", figure) : text;
}

bool is_integer_field(const std::string& name) { return name == "epoch" || name == "step"; }

// Formats the field now as `render` will later, to report fmt's error early.
void try_field(const std::string& text, const std::string& name, const std::string& specification) {
  if (has_long_number(specification)) {
    refuse(text, "has a width or precision of more than " + std::to_string(kMaxDigits) +
                     " digits in {" + name + "}");
  }
  try {
    if (is_integer_field(name)) {
      format(specification, int64_t{0});
    } else {
      format(specification, 0.0);
    }
  } catch (const fmt::format_error& error) {
    refuse(text, "cannot format {" + name + "}: " + error.what());
  }
}

std::string render_field(const std::string& name, const std::string& specification,
                         const Progress& progress) {
  if (name == "epoch") return format_always(specification, progress.epoch);
  if (name == "step") return format_always(specification, progress.step);
  if (name == "loss") return format_number(specification, progress.loss);
  const auto metric = progress.metrics.find(name);
  return metric != progress.metrics.end() ? format_number(specification, metric->second) : "none";
}

// Returns whether a name may contain the character of `length` bytes at `at`. Characters beyond
// ASCII are allowed, except control characters (U+0080 to U+009F). `length` is 0 for bytes that are
// not UTF-8: fmt's fields can produce them, and a manifest cannot hold them.
bool can_stand(const std::string& text, size_t at, size_t length) {
  const auto c = static_cast<unsigned char>(text[at]);
  if (length == 1) return c > 0x20 && c != 0x7f && c != '/' && c != '\\';
  if (length == 0) return false;
  return c != 0xc2 || static_cast<unsigned char>(text[at + 1]) >= 0xa0;
}

std::string cleaned(const std::string& text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const size_t length = base::utf8_length(text, at);
    if (can_stand(text, at, length)) {
      result.append(text, at, length);
    } else {
      result += '_';
    }
    at += std::max(length, size_t{1});
  }
  return result;
}

// Returns whether a checkpoint cannot have this name, or this library or the file system uses it
// for something else.
bool is_reserved(const std::string& name) {
  return !store::is_checkpoint_name(name) || name == store::kHistoryFile || name == "lost+found";
}

std::string clear_of_reserved(std::string name) {
  if (store::is_set_aside(name)) name += "-checkpoint";  // A prefix would not help.
  return is_reserved(name) ? "checkpoint-" + name : name;
}

void cut_to(std::string& name, size_t most) {
  if (name.size() <= most) return;
  // Do not cut inside a UTF-8 sequence.
  while (most > 0 && (static_cast<unsigned char>(name[most]) & 0xc0) == 0x80) --most;
  name.resize(most);
}

}  // namespace

NameTemplate::NameTemplate(const std::string& text) {
  if (!base::is_valid_utf8(text)) refuse(base::valid_utf8(text), "is not valid UTF-8");
  std::string literal;
  const auto end_literal = [&] {
    if (!literal.empty()) parts_.push_back({false, std::move(literal), ""});
    literal.clear();
  };
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if ((c == '{' || c == '}') && at + 1 < text.size() && text[at + 1] == c) {
      literal += c;
      ++at;
    } else if (c == '}') {
      refuse(text, "has a } without its {");
    } else if (c == '{') {
      const size_t end = text.find('}', at);
      if (end == std::string::npos) refuse(text, "has a { without its }");
      const std::string field = text.substr(at + 1, end - at - 1);
      const size_t colon = field.find(':');
      const std::string name = field.substr(0, colon);
      if (name.empty()) refuse(text, "has a field without a name");
      const std::string specification =
          "{" + (colon == std::string::npos ? "" : field.substr(colon)) + "}";
      try_field(text, name, specification);
      end_literal();
      parts_.push_back({true, name, specification});
      at = end;
    } else {
      literal += c;
    }
  }
  end_literal();
  if (parts_.empty()) refuse(text, "is empty");
}

std::string NameTemplate::render(const Progress& progress) const {
  std::string name;
  for (const Part& part : parts_) {
    name += part.is_field ? render_field(part.text, part.specification, progress) : part.text;
  }
  name = cleaned(name);
  cut_to(name, kMaxBytes);
  return clear_of_reserved(std::move(name));
}

}  // namespace checkpoint::manager
