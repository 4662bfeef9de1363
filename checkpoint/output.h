#pragma once

#include <checkpoint/manifest.h>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace checkpoint::cli {

/// Returns a size for people: "1.5 GiB".
std::string human_bytes(uint64_t bytes);
/// Returns a number with six significant digits; "-" for NaN.
std::string human_number(double value);
/// Returns all metrics in one line: "val_accuracy=0.97 val_loss=0.1".
std::string human_metrics(const Progress& progress);
/// Returns how long ago a time like "2026-11-23T15:02:11Z" was: "5 min", "3 d". Empty if the time
/// cannot be read.
std::string age_since(const std::string& utc);

/// Joins the parts with commas: "newest, pinned".
std::string joined(const std::vector<std::string>& parts);

/// Prints rows in aligned columns. The first row is the heading. A column is aligned to the right
/// if its heading begins with '>'.
void print_table(const std::vector<std::vector<std::string>>& rows);
/// Prints an indented JSON document and a newline.
void print_json(const nlohmann::ordered_json& document);

/// Returns the fields of a manifest as `--json` prints them (docs/cli.md).
nlohmann::ordered_json to_json(const Manifest& manifest);

/// Returns the text with "?" for control characters, which a terminal would obey, and for bytes
/// that are not UTF-8.
std::string printable(const std::string& text);
/// The same, but keeps line ends: for messages of several lines.
std::string printable_lines(const std::string& text);

/// Prints an error message to standard error.
void print_error(const std::string& message);
/// Flushes standard output. If some output was lost, for example on a full disk, prints an error
/// and returns false.
bool flush_output();

}  // namespace checkpoint::cli
