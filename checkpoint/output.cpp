// Output functions that all commands share: tables with aligned columns, sizes and numbers for
// people, and JSON. Names come from files and may contain anything, so all text output passes
// through `printable`, which replaces control characters. At the end, flush_output reports lost
// output.

#include "output.h"

#include "base/clock.h"
#include "base/json.h"
#include "store/records/keep_json.h"
#include "store/records/progress_json.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <sstream>

namespace checkpoint::cli {
namespace {

// Columns count characters, not bytes: UTF-8's continuation bytes have no width.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string padded(const std::string& text, size_t width, bool flush_right) {
  const std::string blanks(width - std::min(width, width_of(text)), ' ');
  return flush_right ? blanks + text : text + blanks;
}

// Returns the length in bytes of the UTF-8 character at `begin`. 0 if it is not valid UTF-8.
size_t character_at(const std::string& text, size_t begin) {
  const auto lead = static_cast<unsigned char>(text[begin]);
  const size_t count = lead < 0x80                   ? 1
                       : lead >= 0xc2 && lead < 0xe0 ? 2
                       : lead >= 0xe0 && lead < 0xf0 ? 3
                       : lead >= 0xf0 && lead < 0xf5 ? 4
                                                     : 0;
  if (begin + count > text.size()) return 0;
  for (size_t i = 1; i < count; ++i) {
    if ((static_cast<unsigned char>(text[begin + i]) & 0xc0) != 0x80) return 0;
  }
  return count;
}

// U+0000 to U+001F and U+007F to U+009F. Terminals obey U+0080 to U+009F too, which have two bytes.
bool is_control(const std::string& text, size_t begin) {
  const auto lead = static_cast<unsigned char>(text[begin]);
  if (lead == 0xc2) return static_cast<unsigned char>(text[begin + 1]) < 0xa0;
  return lead < 0x20 || lead == 0x7f;
}

}  // namespace

std::string human_bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_number(double value) {
  return std::isnan(value) ? "-" : fmt::format("{:.6g}", value);
}

std::string human_metrics(const Progress& progress) {
  std::string text;
  for (const auto& [name, value] : progress.metrics) {
    if (!text.empty()) text += ' ';
    text += printable(name) + '=' + human_number(value);
  }
  return text;
}

std::string age_since(const std::string& utc) {
  const std::optional<int64_t> then = base::parse_utc(utc);
  if (!then) return "";
  const double seconds = std::difftime(std::time(nullptr), static_cast<std::time_t>(*then));
  if (seconds < 0) return "in the future";
  if (seconds < 60) return fmt::format("{:.0f} s", seconds);
  if (seconds < 3600) return fmt::format("{:.0f} min", std::floor(seconds / 60));
  if (seconds < 86400) return fmt::format("{:.0f} h", std::floor(seconds / 3600));
  return fmt::format("{:.0f} d", std::floor(seconds / 86400));
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> cells = rows;
  std::vector<bool> flush_right;
  for (std::string& heading : cells.front()) {
    flush_right.push_back(!heading.empty() && heading[0] == '>');
    if (flush_right.back()) heading.erase(0, 1);
  }
  std::vector<size_t> widths(flush_right.size(), 0);
  for (const auto& row : cells) {
    for (size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], width_of(row[column]));
    }
  }
  for (const auto& row : cells) {
    std::string line;
    for (size_t column = 0; column < row.size(); ++column) {
      if (column > 0) line += "  ";
      line += padded(row[column], widths[column], flush_right[column]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    std::printf("%s\n", line.c_str());
  }
}

void print_json(const nlohmann::ordered_json& document) {
  // A directory's name may not be valid UTF-8. That must not prevent the output of all others.
  constexpr auto kReplace = nlohmann::ordered_json::error_handler_t::replace;
  std::printf("%s\n", document.dump(2, ' ', /*ensure_ascii=*/false, kReplace).c_str());
}

nlohmann::ordered_json to_json(const Manifest& manifest) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const FileEntry& file : manifest.files) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"xxh3_128", file.xxh3_128}});
  }
  nlohmann::ordered_json items = nlohmann::ordered_json::array();
  for (const ItemEntry& item : manifest.items) {
    nlohmann::ordered_json entry = {{"name", item.name}, {"kind", item.kind}, {"type", item.type}};
    if (!item.group_sizes.empty()) entry["group_sizes"] = item.group_sizes;
    if (!item.ranks.empty()) entry["ranks"] = item.ranks;
    items.push_back(std::move(entry));
  }
  return {{"sequence", manifest.sequence},
          {"parent", manifest.parent},
          {"created", manifest.created},
          {"run_id", manifest.run_id},
          {"libtorch_version", manifest.libtorch_version},
          {"library_version", manifest.library_version},
          {"format_version", manifest.format_version},
          {"world_size", manifest.world_size},
          {"progress", store::progress_to_json(manifest.progress)},
          {"bytes", manifest.total_bytes()},
          {"bytes_written", manifest.bytes_written},
          {"files", std::move(files)},
          {"items", std::move(items)},
          {"keep", store::keep_to_json(manifest.keep)}};
}

std::string printable(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const size_t count = character_at(text, i);
    result += count == 0 || is_control(text, i) ? "?" : text.substr(i, count);
    i += std::max<size_t>(count, 1);
  }
  return result;
}

std::string printable_lines(const std::string& text) {
  std::string result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    result += (result.empty() ? "" : "\n") + printable(line);
  }
  return result;
}

void print_error(const std::string& message) {
  std::fprintf(stderr, "torch-checkpoint: %s\n", printable_lines(message).c_str());
}

bool flush_output() {
  const bool failed_before = std::ferror(stdout) != 0;
  errno = 0;
  if (std::fflush(stdout) == 0 && !failed_before) return true;
  print_error(std::string("could not write all of the output") +
              (errno != 0 ? std::string(": ") + std::strerror(errno) : "") +
              ". Do not rely on what was written.");
  return false;
}

}  // namespace checkpoint::cli
