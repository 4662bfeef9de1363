// Manifests and tables that were made to do harm, each with a valid digest: a clear error,
// within a second, and with at most 16 MB and eight times the file's size of memory.

#include "fuzz/fuzzing.h"
#include "support/catch.h"
#include "support/error_of.h"
#include "support/sanitized.h"

#include "store/io/byte_sink.h"
#include "store/records/manifest.h"
#include "store/records/tensor_table.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <functional>
#include <new>

using namespace checkpoint;
using namespace checkpoint::store;

namespace {

constexpr bool kMeasures = !test::kSanitized;

enum Outcome { kRefused, kAccepted, kOtherCode, kSaysTooMuch, kNoMemory, kOther, kSlow };

Outcome outcome_of(const std::function<void()>& call) {
  const std::clock_t begin = std::clock();
  Outcome outcome = kAccepted;
  try {
    call();
  } catch (const Error& error) {
    outcome = error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kIncompatible
                  ? kRefused
                  : kOtherCode;
    if (std::string(error.what()).size() > 2000) outcome = kSaysTooMuch;
  } catch (const std::bad_alloc&) {
    outcome = kNoMemory;
  } catch (...) {
    outcome = kOther;
  }
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
#ifdef __OPTIMIZE__
  constexpr bool kTimes = kMeasures;
#else
  constexpr bool kTimes = false;  // Ten times slower, and irrelevant here.
#endif
  return kTimes && seconds > 1 ? kSlow : outcome;
}

uint64_t address_space() {
  uint64_t pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%lu", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Runs in a child process, whose memory is limited to what it has now and this much more.
int outcome_in_limits(const std::string& text,
                      const std::function<void(const std::string&)>& decode) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (kMeasures) {
      // The text is there already.
      const rlim_t limit = address_space() + (uint64_t{16} << 20) + 7 * text.size();
      const rlimit limits = {limit, limit};
      ::setrlimit(RLIMIT_AS, &limits);
    }
    ::_exit(outcome_of([&] { decode(text); }));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

void decode_sealed(const std::string& text) { decode_manifest(text, "manifest.json"); }
void decode_table(const std::string& text) { decode_tensor_table(text, "tensors.json"); }

std::string repeated(const std::string& piece, size_t count) {
  std::string text;
  text.reserve(piece.size() * count);
  for (size_t i = 0; i < count; ++i) text += piece;
  return text;
}

// "k0":0,"k1":0,…
std::string distinct_keys(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += (i == 0 ? "\"k" : ",\"k") + std::to_string(i) + "\":0";
  }
  return text;
}

// Under a sanitizer each of the children takes seconds for a million. A quarter of it is still too
// much for any manifest.
constexpr size_t kMany = kMeasures ? 1000000 : 250000;

// Hostile values for any field.
std::vector<std::pair<std::string, std::string>> hostile_values() {
  return {
      {"arrays, very many deep", repeated("[", kMany)},
      {"objects, very many deep", repeated("{\"a\":", kMany)},
      {"closed arrays, 10,000 deep", repeated("[", 10000) + repeated("]", 10000)},
      {"a million keys", "{" + distinct_keys(kMany) + "}"},
      {"a million numbers", "[0" + repeated(",0", kMany) + "]"},
      {"a million arrays", "[[]" + repeated(",[]", kMany) + "]"},
      {"a million objects", "[{}" + repeated(",{}", kMany) + "]"},
      {"a million small objects", "[{\"a\":0}" + repeated(",{\"a\":0}", kMany) + "]"},
      {"a million strings", "[\"\"" + repeated(",\"\"", kMany) + "]"},
      {"a number beyond all", "1e999999999"},
      {"a number of a million digits", repeated("9", kMany)},
      {"a field twice", "{\"a\":1,\"a\":2}"},
      {"bad UTF-8", "\"\xff\xfe\""},
      {"half a surrogate", "\"\\ud800\""},
      {"an overlong form", "\"\xc0\x80\""},
      {"a string without an end", "\"" + repeated("a", kMany)},
      {"a string of control characters", "\"" + repeated("\x01", kMany) + "\""},
      {"no JSON", "NaN"},
      {"a comment", "/* */ 1"},
      {"a NUL", std::string("\0", 1)},
      {"the end of all", "1}}}}]]]"},
  };
}

std::string manifest_with(const std::string& field, const std::string& value) {
  std::string text =
      R"({"format": "torch-checkpoint", "format_version": 1, "name": "e1", "sequence": 1, "parent": "",
 "created": "", "run_id": "", "libtorch_version": "1.13.0", "library_version": "0.1.0",
 "progress": {"epoch": 1, "epoch_done": true, "step": 2, "loss": 0.5, "metrics": {"accuracy": 1}},
 "files": [{"name": "checkpoint.pt", "bytes": 7, "xxh3_128": ""}],
 "items": [{"name": "o", "kind": "optimizer", "type": "Adam", "group_sizes": [4]}],
)";
  if (field.empty()) return text;
  const std::string start = "\"" + field + "\": ";
  const size_t at = text.find(start);
  if (at == std::string::npos) return text + start + value + ",\n";
  // The value ends where the next field of the line, or the line, begins.
  size_t end = text.find_first_of(",}\n", at + start.size());
  if (text[at + start.size()] == '[' || text[at + start.size()] == '{') end = text.find(",\n", at);
  return text.replace(at + start.size(), end - at - start.size(), value);
}

std::string table_with(const std::string& field, const std::string& value) {
  const auto field_or = [&](const std::string& name, const std::string& usual) {
    return "\"" + name + "\":" + (name == field ? value : usual);
  };
  return "{" + field_or("format", "\"torch-checkpoint-tensors\"") + ",\n" +
         field_or("format_version", "1") + ",\n" + "\"tensors\":" +
         (field == "tensors"
              ? value
              : "[{" + field_or("key", "\"w\"") + "," + field_or("dtype", "\"float32\"") + "," +
                    field_or("shape", "[2]") + "," + field_or("device", "\"cpu\"") + "," +
                    field_or("file", "\"checkpoint.pt\"") + "," + field_or("offset", "64") + "," +
                    field_or("bytes", "8") + "," + field_or("xxh3_128", "\"\"") + "}]") +
         ",\n" + field_or("optimizer_parameters", "{}") + ",\n" + field_or("eval_modules", "{}") +
         (field.empty() && !value.empty() ? ",\"more\":" + value : "") + "}\n";
}

}  // namespace

TEST_CASE("The manifest and the table that the hostile ones are made of are accepted") {
  CHECK(outcome_in_limits(test::sealed(manifest_with("", "")), decode_sealed) == kAccepted);
  CHECK(outcome_in_limits(test::sealed(manifest_with("more", "[[{}]]")), decode_sealed) ==
        kAccepted);
  CHECK(outcome_in_limits(test::sealed(manifest_with("sequence", "2")), decode_sealed) ==
        kAccepted);
  CHECK(outcome_in_limits(table_with("", ""), decode_table) == kAccepted);
  // A number like any other, if a long one.
  CHECK(outcome_in_limits(table_with("", "0." + repeated("9", kMany)), decode_table) == kAccepted);
  CHECK(outcome_in_limits(table_with("", "[[{}]]"), decode_table) == kAccepted);
}

TEST_CASE("Hostile values anywhere in a manifest are refused within bounds", "[one-thread]") {
  for (const auto& [what, value] : hostile_values()) {
    for (const char* field :
         {"more", "sequence", "metrics", "files", "items", "group_sizes", "name"}) {
      INFO(what << ", as " << field);
      CHECK(outcome_in_limits(test::sealed(manifest_with(field, value)), decode_sealed) ==
            kRefused);
    }
    INFO(what << ", as all of it");
    CHECK(outcome_in_limits(test::sealed(value), decode_sealed) == kRefused);
  }
}

TEST_CASE("Hostile values anywhere in a table are refused within bounds", "[one-thread]") {
  for (const auto& [what, value] : hostile_values()) {
    for (const char* field :
         {"", "tensors", "shape", "key", "optimizer_parameters", "eval_modules"}) {
      INFO(what << ", as " << field);
      CHECK(outcome_in_limits(table_with(field, value), decode_table) == kRefused);
    }
  }
}

TEST_CASE("Names that lead elsewhere, sizes that overflow and wrong types are refused",
          "[one-thread]") {
  const std::vector<std::pair<const char*, const char*>> manifests = {
      {"format", "\"another\""},
      {"format", "1"},
      {"format_version", "4"},
      {"format_version", "\"1\""},
      {"format_version", "1.5"},
      {"format_version", "99999999999999999999"},
      {"format_version", "-1"},
      {"name", "1"},
      {"name", "null"},
      {"sequence", "-1"},
      {"sequence", "9223372036854775807"},
      {"sequence", "18446744073709551615"},
      {"sequence", "1.0"},
      {"sequence", "true"},
      {"created", "[]"},
      {"progress", "[]"},
      {"epoch", "9223372036854775808"},
      {"epoch", "1.5"},
      {"epoch_done", "1"},
      {"loss", "\"zero\""},
      {"loss", "null"},
      {"metrics", "[1]"},
      {"metrics", "{\"a\": \"b\"}"},
      {"bytes", "-1"},
      {"bytes", "18446744073709551616"},
      {"bytes", "1e3"},
      {"files", "{}"},
      {"files", "[1]"},
      {"files", "[{\"name\": \"a\"}]"},
      {"items", "[[]]"},
      {"items", "[{\"name\": \"a\", \"kind\": 1}]"},
      {"group_sizes", "[-1]"},
      {"group_sizes", "[9223372036854775808]"},
      {"group_sizes", "[\"4\"]"},
      {"files",
       "[{\"name\": \"a\", \"bytes\": 1, \"xxh3_128\": \"\"}, {\"name\": \"a\", \"bytes\": 1, "
       "\"xxh3_128\": \"\"}]"},
  };
  for (const auto& [field, value] : manifests) {
    INFO(field << ": " << value);
    CHECK(outcome_in_limits(test::sealed(manifest_with(field, value)), decode_sealed) == kRefused);
  }
  const std::vector<std::pair<const char*, const char*>> tables = {
      {"format", "\"torch-checkpoint\""},
      {"format_version", "3"},
      {"tensors", "{}"},
      {"tensors", "[1]"},
      {"tensors", "[[]]"},
      {"tensors", "1"},
      {"key", "1"},
      {"dtype", "null"},
      {"shape", "[-1]"},
      {"shape", "[18446744073709551615]"},
      {"shape", "[1.5]"},
      {"shape", "{}"},
      {"shape", "[[1]]"},
      {"offset", "-1"},
      {"offset", "18446744073709551616"},
      {"bytes", "\"8\""},
      {"bytes", "8.0"},
      {"optimizer_parameters", "[]"},
      {"optimizer_parameters", "{\"o\": [1]}"},
      {"eval_modules", "{\"m\": [[]]}"},
  };
  for (const auto& [field, value] : tables) {
    INFO(field << ": " << value);
    CHECK(outcome_in_limits(table_with(field, value), decode_table) == kRefused);
  }
  const std::string overlong = "\"" + std::string(256, 'x') + "\"";
  for (const std::string name : {"\"\"", "\".\"", "\"..\"", "\"/etc/passwd\"", "\"a/b\"",
                                 "\"../a\"", "\"a\\u0000b\"", overlong.c_str()}) {
    INFO(name);
    const std::string file = "[{\"name\": " + name + ", \"bytes\": 1, \"xxh3_128\": \"\"}]";
    CHECK(outcome_in_limits(test::sealed(manifest_with("files", file)), decode_sealed) == kRefused);
    CHECK(outcome_in_limits(table_with("file", name), decode_table) == kRefused);
  }
}

TEST_CASE("Bytes behind the end, another digest, and no digest are refused") {
  const std::string good = test::sealed(manifest_with("", ""));
  for (const std::string& text :
       {good + "\n", good + " ", good + good, good.substr(0, good.size() - 1), std::string(),
        std::string("{}"), std::string(1000000, ' '), "\xef\xbb\xbf" + good,
        good + std::string(1, '\0')}) {
    CHECK(outcome_in_limits(text, decode_sealed) == kRefused);
  }
  // What ends before its digest, and what follows the end of the document inside the digest's
  // reach.
  CHECK(outcome_in_limits(test::sealed(manifest_with("", "") + "\"a\": 1}\n{"), decode_sealed) ==
        kRefused);
  CHECK(outcome_in_limits(test::sealed(""), decode_sealed) == kRefused);
  CHECK(outcome_in_limits(table_with("", "") + "x", decode_table) == kRefused);
  CHECK(outcome_in_limits(table_with("", "") + table_with("", ""), decode_table) == kRefused);
}

TEST_CASE("A large table of real tensors is read, within the same bounds") {
  struct StringSink final : ByteSink {
    void write(const void* data, size_t count) override {
      text.append(static_cast<const char*>(data), count);
    }
    std::string text;
  };
  TensorTable table;
  for (int i = 0; i < 48000; ++i) {
    table.tensors.push_back({"model.layers." + std::to_string(i) + ".attention.weight",
                             "float32",
                             {64, 64},
                             "cpu",
                             "checkpoint.pt",
                             64,
                             16384,
                             *base::Digest::from(std::string(32, 'a'))});
    table.optimizer_parameters["optimizer"].resize(1);
    table.optimizer_parameters["optimizer"][0].push_back(table.tensors.back().key);
  }
  StringSink sink;
  write_tensor_table(table, sink);
  CHECK(outcome_in_limits(sink.text, decode_table) == kAccepted);
}
