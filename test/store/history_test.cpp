#include "support/catch.h"
#include "support/temporary_directory.h"

#include "store/directory/history.h"

#include <cmath>
#include <filesystem>
#include <fstream>

using namespace checkpoint;
using namespace checkpoint::store;

namespace {

HistoryEntry entry(int64_t sequence) {
  HistoryEntry result;
  result.sequence = sequence;
  result.name = "epoch" + std::to_string(sequence);
  result.parent = "epoch0";
  result.run_id = "0123456789abcdef";
  result.created = "2026-11-23T15:02:11Z";
  result.progress = {sequence, 10 * sequence, 0.5, {{"accuracy", 0.75}}};
  result.bytes = 1000;
  return result;
}

}  // namespace

TEST_CASE("What is added to the history comes back in order") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root / "");
  CHECK(read_history(directory).empty());
  HistoryEntry second = entry(2);
  second.progress.loss = std::nan("");
  second.seconds = 1.5;
  append_history(directory, entry(1));
  append_history(directory, second);
  const std::vector<HistoryEntry> history = read_history(directory);
  REQUIRE(history.size() == 2);
  CHECK(history[0].sequence == 1);
  CHECK(history[0].name == "epoch1");
  CHECK(history[0].parent == "epoch0");
  CHECK(history[0].run_id == "0123456789abcdef");
  CHECK(history[0].created == "2026-11-23T15:02:11Z");
  CHECK(history[0].progress.step == 10);
  CHECK(history[0].progress.metrics.at("accuracy") == 0.75);
  CHECK(history[0].bytes == 1000);
  CHECK(std::isnan(history[0].seconds));
  CHECK(std::isnan(history[1].progress.loss));
  CHECK(history[1].seconds == 1.5);
}

TEST_CASE("A torn line of the history costs that line alone") {
  const test::TemporaryDirectory root;
  const Directory directory(posix_file_system(), root / "");
  append_history(directory, entry(1));
  append_history(directory, entry(2));
  const std::string path = root / "history.jsonl";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 20);
  append_history(directory, entry(3));
  std::ofstream(path, std::ios::app) << "{\"sequence\": \"four\"}\nno JSON\n\n[[[[\n";
  append_history(directory, entry(5));
  const std::vector<HistoryEntry> history = read_history(directory);
  REQUIRE(history.size() == 3);
  CHECK(history[0].sequence == 1);
  CHECK(history[1].sequence == 3);
  CHECK(history[2].sequence == 5);
}

TEST_CASE("A history that is a link is not followed") {
  const test::TemporaryDirectory root;
  std::ofstream(root / "foreign") << "precious";
  std::filesystem::create_symlink(root / "foreign", root / "history.jsonl");
  const Directory directory(posix_file_system(), root / "");
  CHECK_THROWS(append_history(directory, entry(1)));
  CHECK(std::filesystem::file_size(root / "foreign") == 8);
}
