#include "manager/name_template.h"

#include "store/records/names.h"

#include <checkpoint/error.h>

#include <spdlog/fmt/fmt.h>

#include <cctype>
#include <cmath>
#include <cstdint>

namespace checkpoint::manager {
namespace {

constexpr size_t kMaxBytes = 200;

[[noreturn]] void refuse(const std::string& text, const std::string& why) {
  throw Error(
      ErrorCode::kInvalidArgument, "the name template \"" + text + "\" " + why, "", 0,
      "Write fields as {epoch:04d}, {step}, {loss:.3f} or {metric:.4f}, and a brace as {{.");
}

template <typename T>
std::string format(const std::string& specification, T value) {
  return fmt::format(fmt::runtime(specification), value);
}

// A figure that nothing has set yet, or that has run away, would be 309 digits in fixed notation,
// and push what follows it out of the name: then it stands in its shortest form.
std::string format_figure(const std::string& specification, double figure) {
  constexpr size_t kLongest = 40;
  constexpr double kHuge = 1e16;  // What is less is as long as its specification says.
  const std::string text = format(specification, figure);
  const bool runs_on = text.size() > kLongest && std::abs(figure) >= kHuge;
  return runs_on ? format("{}", figure) : text;
}

bool is_integer_field(const std::string& name) { return name == "epoch" || name == "step"; }

// Formats a field as it will be formatted later, to hear now what fmt has against it.
void try_field(const std::string& text, const std::string& name, const std::string& specification) {
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
  if (name == "epoch") return format(specification, progress.epoch);
  if (name == "step") return format(specification, progress.step);
  if (name == "loss") return format_figure(specification, progress.loss);
  const auto metric = progress.metrics.find(name);
  return metric != progress.metrics.end() ? format_figure(specification, metric->second) : "none";
}

// Bytes of UTF-8 beyond ASCII are let through.
bool can_stand(unsigned char c) { return c > 0x20 && c != 0x7f && c != '/' && c != '\\'; }

void cut_to(std::string& name, size_t most) {
  if (name.size() <= most) return;
  // Not in the middle of a UTF-8 sequence.
  while (most > 0 && (static_cast<unsigned char>(name[most]) & 0xc0) == 0x80) --most;
  name.resize(most);
}

}  // namespace

NameTemplate::NameTemplate(const std::string& text) {
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
  for (char& c : name) {
    if (!can_stand(static_cast<unsigned char>(c))) c = '_';
  }
  cut_to(name, kMaxBytes);
  return store::is_checkpoint_name(name) ? name : "checkpoint-" + name;
}

}  // namespace checkpoint::manager
