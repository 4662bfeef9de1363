#pragma once

#include <checkpoint/manifest.h>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace checkpoint::cli {

/// "1.5 GiB".
std::string human_bytes(uint64_t bytes);
/// Six significant digits; "-" for NaN.
std::string human_number(double value);
/// "val_accuracy=0.97 val_loss=0.1".
std::string human_metrics(const Progress& progress);
/// How long ago a time like "2026-11-23T15:02:11Z" was: "5 min", "3 d"; empty if it cannot be read.
std::string age_since(const std::string& utc);

/// "newest, pinned".
std::string joined(const std::vector<std::string>& parts);

/// Prints rows in columns as wide as they need; the first row is the heading. A column whose
/// heading begins with '>' is set flush right.
void print_table(const std::vector<std::vector<std::string>>& rows);
/// Prints a document, indented, and a newline.
void print_json(const nlohmann::ordered_json& document);

/// A manifest's fields as `--json` shows them (docs/cli.md).
nlohmann::ordered_json to_json(const Manifest& manifest);

/// Control characters, which a name may hold and a terminal would obey, as "?"; and what is not
/// UTF-8.
std::string printable(const std::string& text);
/// The same, but line ends stay: for messages of several lines.
std::string printable_lines(const std::string& text);

/// Says on standard error what went wrong.
void print_error(const std::string& message);
/// Writes out what was printed so far. Returns false, and says so, if some of it was lost, as on a
/// full disk.
bool flush_output();

}  // namespace checkpoint::cli
