#include "options.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>
#include <random>

namespace bench {
namespace {

const std::vector<std::string> kGroups = {"memory",   "saves",   "stalls", "restores", "cold",
                                          "restarts", "formats", "many",   "peaks"};

void describe(CLI::App& app, Options& options) {
  app.option_defaults()->always_capture_default();
  app.add_option("--size", options.size_gb, "The state, in GB: a model with Adam")
      ->check(CLI::PositiveNumber);
  app.add_option("--tensors", options.tensors, "How many parameters it has")
      ->check(CLI::PositiveNumber);
  app.add_option("--rounds", options.rounds, "How often everything is measured")
      ->check(CLI::PositiveNumber);
  app.add_option("--dir", options.dir, "Where to write; removed afterwards")
      ->check(CLI::ExistingDirectory);
  app.add_option("--json", options.json, "A file for the values");
  app.add_flag("--check", options.check, "Only: what this machine is, without the library");
  app.add_option("--only", options.only, "The groups to measure. Default: all")
      ->check(CLI::IsMember(kGroups));
  app.add_option("--pause", options.pause,
                 "Seconds of rest before each use of the disk. Grows if the disk's speed changes")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--tries", options.tries,
                 "How often a value is measured at most, until its baseline is steady")
      ->check(CLI::PositiveNumber);
  app.add_option("--ranks", options.ranks, "Only: so many processes with one checkpoint")
      ->check(CLI::PositiveNumber);
  app.add_option("--empty-saves", options.empty, "Only: saves of nothing, by up to so many ranks")
      ->check(CLI::PositiveNumber);
  app.add_option("--child", options.child)->group("");
  app.add_option("--input", options.input)->group("");
}

}  // namespace

bool Options::wants(const std::string& group) const {
  return only.empty() || std::find(only.begin(), only.end(), group) != only.end();
}

Options parse_options(int argc, char** argv) {
  Options options;
  CLI::App app("What checkpoints cost, compared with plain memory, disk and LibTorch.");
  describe(app, options);
  const CLI::Option* const seed = app.add_option(
      "--seed", options.seed, "Of the order of measurements. Default: another one each time");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  if (seed->count() == 0) options.seed = std::random_device()();
  return options;
}

}  // namespace bench
