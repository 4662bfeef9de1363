// history.jsonl: one line for each save and each removal by name. Lines are only appended. After a
// crash the last line may be incomplete: the next line then starts on a new one, and reading skips
// what it cannot parse. No checkpoint depends on this file.

#include "store/directory/history.h"

#include "base/json.h"
#include "store/io/file.h"
#include "store/records/names.h"
#include "store/records/progress_json.h"

#include <algorithm>
#include <sstream>

namespace checkpoint::store {
namespace {

// Enough for a million saves. This library never writes a larger file.
constexpr uint64_t kMaxBytes = uint64_t{512} << 20;

std::string encode(const HistoryEntry& entry) {
  return base::dump_json({{"sequence", entry.sequence},
                          {"name", entry.name},
                          {"parent", entry.parent},
                          {"run_id", entry.run_id},
                          {"created", entry.created},
                          {"progress", progress_to_json(entry.progress)},
                          {"bytes", entry.bytes},
                          {"seconds", base::json_number(entry.seconds)}},
                         /*indent=*/-1);
}

HistoryEntry decode(const std::string& line, const std::string& path) {
  const nlohmann::json document = base::parse_json(line, path);
  const base::JsonFields fields(document, path);
  HistoryEntry entry;
  entry.sequence = fields.integer("sequence");
  entry.name = fields.string("name");
  entry.parent = fields.string("parent");
  entry.run_id = fields.string("run_id");
  entry.created = fields.string("created");
  entry.progress = progress_from_json(fields.object("progress"), path);
  entry.bytes = fields.size("bytes");
  entry.seconds = fields.number("seconds");
  return entry;
}

// Returns whether a crash has cut off the last line.
bool is_torn(const File& file, uint64_t end) {
  if (end == 0) return false;
  char last = '\0';
  file.read_at(end - 1, &last, 1);
  return last != '\n';
}

constexpr char kRemoved[] = "removed";

std::string encode(const Removal& removal) {
  return base::dump_json(
      {{kRemoved, removal.name}, {"sequence", removal.sequence}, {"was_last", removal.was_last}},
      /*indent=*/-1);
}

void append_line(const Directory& directory, const std::string& text) {
  directory.require_held();
  File file = File::open_or_create(directory.fs(), directory.path_of(kHistoryFile));
  const uint64_t end = file.size();
  const std::string line = (is_torn(file, end) ? "\n" : "") + text + "\n";
  file.write_at(end, line.data(), line.size());
  file.close();
}

// Calls `visit` for each line. If `visit` throws an Error, the line cannot be read and is skipped:
// a crash may have cut it off, and no checkpoint depends on it.
template <typename Visit>
void for_each_line(const Directory& directory, const Visit& visit) {
  const std::string path = directory.path_of(kHistoryFile);
  if (status_of(directory.fs(), path).st_mode == 0) return;
  std::istringstream text(read_whole(directory.fs(), path, kMaxBytes));
  for (std::string line; std::getline(text, line);) {
    if (line.empty()) continue;
    try {
      visit(line, path);
    } catch (const Error&) {
    }
  }
}

bool is_removal(const std::string& line) {
  static const std::string kStart = std::string("{\"") + kRemoved + '"';
  return line.compare(0, kStart.size(), kStart) == 0;
}

Removal decode_removal(const std::string& line, const std::string& path) {
  const nlohmann::json document = base::parse_json(line, path);
  const base::JsonFields fields(document, path);
  return {fields.string(kRemoved), fields.integer("sequence"), fields.boolean("was_last")};
}

}  // namespace

HistoryEntry history_entry(const Manifest& manifest) {
  HistoryEntry entry;
  entry.sequence = manifest.sequence;
  entry.name = manifest.name;
  entry.parent = manifest.parent;
  entry.run_id = manifest.run_id;
  entry.created = manifest.created;
  entry.progress = manifest.progress;
  entry.bytes = manifest.total_bytes();
  if (!manifest.seconds.empty()) {
    entry.seconds = 0;
    for (const auto& [step, seconds] : manifest.seconds) entry.seconds += seconds;
  }
  return entry;
}

void append_history(const Directory& directory, const HistoryEntry& entry) {
  append_line(directory, encode(entry));
}

void append_removal(const Directory& directory, const Removal& removal) {
  append_line(directory, encode(removal));
}

int64_t highest_removed(const Directory& directory) {
  int64_t highest = 0;
  for_each_line(directory, [&](const std::string& line, const std::string& path) {
    if (is_removal(line)) highest = std::max(highest, decode_removal(line, path).sequence);
  });
  return highest;
}

std::vector<HistoryEntry> read_history(const Directory& directory) {
  std::vector<HistoryEntry> entries;
  for_each_line(directory, [&](const std::string& line, const std::string& path) {
    if (!is_removal(line)) {
      entries.push_back(decode(line, path));
    } else if (decode_removal(line, path).was_last) {
      for (HistoryEntry& entry : entries) entry.given_up = true;
    }
  });
  return entries;
}

}  // namespace checkpoint::store
