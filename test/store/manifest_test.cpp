#include "support/catch.h"
#include "support/error_of.h"

#include "base/digest.h"
#include "store/records/manifest.h"

#include <checkpoint/error.h>

#include <chrono>
#include <cmath>

using namespace checkpoint;
using namespace checkpoint::store;

namespace {

Manifest example() {
  Manifest manifest;
  manifest.name = "epoch0005";
  manifest.sequence = 6;
  manifest.parent = "epoch0002";
  manifest.created = "2026-11-23T15:02:11Z";
  manifest.run_id = "0d7db766a85c5649";
  manifest.libtorch_version = "1.13.0";
  manifest.library_version = "0.1.0";
  manifest.progress = {5, 600, 0.125, {{"val/accuracy", 0.1}, {"broken", std::nan("")}}, false};
  manifest.files = {{"checkpoint.pt", 123, std::string(32, 'a')}};
  manifest.items = {{"model", "module", "", {}}, {"optimizer", "optimizer", "Adam", {4, 2}}};
  return manifest;
}

// A manifest whose text was changed, with a valid seal.
std::string resealed(std::string text, const std::string& from, const std::string& to) {
  const size_t seal = text.find("  \"xxh3_128\": \"", text.find("\"items\""));
  std::string body = text.substr(0, seal);
  const size_t at = body.find(from);
  REQUIRE(at != std::string::npos);
  body.replace(at, from.size(), to);
  return body + "  \"xxh3_128\": \"" + base::xxh3_128(body.data(), body.size()) + "\"\n}\n";
}

ErrorCode code_of(const std::string& text) {
  try {
    decode_manifest(text, "manifest.json");
  } catch (const Error& error) {
    return error.code();
  }
  FAIL("accepted:\n" + text);
  throw 0;
}

}  // namespace

TEST_CASE("A manifest comes back as it was") {
  const Manifest manifest = example();
  const Manifest back = decode_manifest(encode_manifest(manifest), "p");
  CHECK(back.name == manifest.name);
  CHECK(back.sequence == 6);
  CHECK(back.parent == "epoch0002");
  CHECK(back.created == manifest.created);
  CHECK(back.run_id == manifest.run_id);
  CHECK(back.libtorch_version == "1.13.0");
  CHECK(back.library_version == "0.1.0");
  CHECK(back.progress.epoch == 5);
  CHECK(back.progress.step == 600);
  CHECK(back.progress.loss == 0.125);
  CHECK_FALSE(back.progress.epoch_done);
  CHECK(back.progress.next_epoch() == 5);
  CHECK(back.progress.metrics.at("val/accuracy") == 0.1);
  CHECK(std::isnan(back.progress.metrics.at("broken")));
  REQUIRE(back.files.size() == 1);
  CHECK(back.files[0].bytes == 123);
  REQUIRE(back.items.size() == 2);
  CHECK(back.items[1].type == "Adam");
  CHECK(back.items[1].group_sizes == std::vector<int64_t>{4, 2});
}

TEST_CASE("Every single flipped bit of a manifest is found") {
  const std::string text = encode_manifest(example());
  for (size_t byte = 0; byte < text.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = text;
      damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << bit));
      if (code_of(damaged) != ErrorCode::kCorrupt) FAIL("byte " << byte << " bit " << bit);
    }
  }
}

TEST_CASE("Every truncation of a manifest, and anything behind it, is found") {
  const std::string text = encode_manifest(example());
  for (size_t size = 0; size < text.size(); ++size) {
    if (code_of(text.substr(0, size)) != ErrorCode::kCorrupt) FAIL("cut to " << size);
  }
  CHECK(code_of(text + "\n") == ErrorCode::kCorrupt);
  CHECK(code_of(text + text) == ErrorCode::kCorrupt);
}

TEST_CASE("The digest is compared as text, in lower case") {
  std::string text = encode_manifest(example());
  bool changed = false;
  for (size_t i = text.size() - 36; i < text.size() - 4; ++i) {
    if (text[i] >= 'a' && text[i] <= 'f' && !changed) {
      text[i] = static_cast<char>(text[i] - 'a' + 'A');
      changed = true;
    }
  }
  REQUIRE(changed);
  CHECK(code_of(text) == ErrorCode::kCorrupt);
}

TEST_CASE("A newer format is refused with the version that it needs; unknown fields are ignored") {
  const std::string text = encode_manifest(example());
  const std::string newer = resealed(text, "\"format_version\": 1", "\"format_version\": 4");
  CHECK(code_of(newer) == ErrorCode::kIncompatible);
  CHECK(
      contains(error_of([&] { decode_manifest(newer, "p"); }), "TorchCheckpoint '0.1.0' or later"));
  const std::string extended =
      resealed(text, "\"sequence\": 6", "\"sequence\": 6,\n  \"colour\": \"blue\"");
  CHECK(decode_manifest(extended, "p").sequence == 6);
}

TEST_CASE("A manifest cannot lead outside its directory") {
  const std::string text = encode_manifest(example());
  for (const std::string& name :
       {std::string("../checkpoint.pt"), std::string("/etc/passwd"), std::string(),
        std::string("."), std::string(".."), std::string("a\\u0000b"), std::string(256, 'x')}) {
    const std::string bad =
        resealed(text, "\"name\": \"checkpoint.pt\"", "\"name\": \"" + name + "\"");
    CHECK(code_of(bad) == ErrorCode::kCorrupt);
  }
}

TEST_CASE("Wrong types in a sealed manifest are refused") {
  const std::string text = encode_manifest(example());
  CHECK(code_of(resealed(text, "\"sequence\": 6", "\"sequence\": \"6\"")) == ErrorCode::kCorrupt);
  CHECK(code_of(resealed(text, "\"bytes\": 123", "\"bytes\": -1")) == ErrorCode::kCorrupt);
  CHECK(code_of(resealed(text, "\"sequence\"", "\"frequence\"")) == ErrorCode::kCorrupt);
  CHECK(code_of(resealed(text, "\"torch-checkpoint\"", "\"another\"")) == ErrorCode::kCorrupt);
}

TEST_CASE("A name that is not UTF-8 is refused when it is written") {
  Manifest manifest = example();
  manifest.progress.metrics["\xff"] = 1;
  CHECK_THROWS_AS(encode_manifest(manifest), Error);
}

TEST_CASE("A manifest of an older format, which lacks what came later, still loads") {
  // What format 0 would have been: no items' types, no group sizes, and nothing that is unknown
  // now.
  const std::string text = encode_manifest(example());
  std::string older = resealed(text, "\"format_version\": 1", "\"format_version\": 0");
  older = resealed(older, ",\n      \"type\": \"Adam\"", "");
  const Manifest manifest = decode_manifest(older, "p");
  CHECK(manifest.format_version == 0);
  CHECK(manifest.sequence == 6);
  CHECK(manifest.items[1].type.empty());
}

TEST_CASE("A manifest holds the rules of retention of the run that wrote it") {
  Manifest manifest = example();
  CHECK(encode_manifest(manifest).find("\"keep\"") == std::string::npos);
  manifest.keep.last = 3;
  manifest.keep.best = {{2, "val/accuracy", Mode::kMax}, {1, "loss", Mode::kMin}};
  manifest.keep.every_n_epochs = 10;
  manifest.keep.every_n_steps = 1000;
  manifest.keep.every = std::chrono::hours(6);
  manifest.keep.predicates.push_back([](const Manifest&) { return true; });
  const std::string text = encode_manifest(manifest);
  const KeepRules read = decode_manifest(text, "manifest.json").keep;
  CHECK(read.last == 3);
  REQUIRE(read.best.size() == 2);
  CHECK(read.best[0].count == 2);
  CHECK(read.best[0].metric == "val/accuracy");
  CHECK(read.best[0].mode == Mode::kMax);
  CHECK(read.best[1].mode == Mode::kMin);
  CHECK(read.every_n_epochs == 10);
  CHECK(read.every_n_steps == 1000);
  CHECK(read.every == std::chrono::hours(6));
  CHECK(read.predicates.empty());
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"last\": 3", "\"last\": -3"},
           {"\"last\": 3", "\"last\": \"3\""},
           {"\"mode\": \"max\"", "\"mode\": \"most\""},
           {"\"count\": 2", "\"count\": -2"},
           {"\"every_seconds\": 21600.0", "\"every_seconds\": -1.0"},
           {"\"every_seconds\": 21600.0", "\"every_seconds\": \"nan\""}}) {
    INFO(to);
    CHECK(code_of(resealed(text, from, to)) == ErrorCode::kCorrupt);
  }
}

TEST_CASE("Fifty thousand metrics take no longer than fifty thousand lines") {
  Manifest manifest;
  for (int i = 0; i < 50000; ++i) manifest.progress.metrics["layer" + std::to_string(i)] = i;
  const auto begin = std::chrono::steady_clock::now();
  const Manifest back = decode_manifest(encode_manifest(manifest), "path");
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  CHECK(back.progress.metrics == manifest.progress.metrics);
  CHECK(taken.count() < 10);  // About 0.1. Searching all earlier names each time takes a minute.
}
