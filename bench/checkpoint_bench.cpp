// Measures in one run: plain memory and disk, plain LibTorch, and this library. A round measures
// each of them (rounds.cpp), in random order and between measurements of what bounds it
// (contest.h). Some are measured in fresh processes (children.cpp). The ratios are taken within a
// round (ratios.cpp), so that other load on the machine disturbs both sides alike.

#include "children.h"
#include "folder.h"
#include "machine.h"
#include "options.h"
#include "ranks.h"
#include "ratios.h"
#include "raw.h"
#include "report.h"
#include "rounds.h"

#include <cstdio>
#include <exception>
#include <map>
#include <string>

namespace {

using bench::Machine;
using bench::Options;
using bench::Report;

void run_check(const Options& options) {
  const Machine machine = bench::check_machine(options.dir);
  bench::print(machine);
  if (!options.json.empty()) Report().write_json(options.json, {}, machine);
}

void run_ranks(const Options& options) {
  const bench::Folder folder(options.dir, "checkpoint-bench");
  Report report;
  if (options.ranks > 0) {
    bench::measure_ranks(
        {options.ranks, options.bytes(), options.tensors, options.rounds, folder.path()}, report);
  }
  if (options.empty > 0) {
    bench::measure_empty_saves(options.empty, options.rounds, folder.path(), report);
  }
  std::printf("%d ranks, %.3f GB, LibTorch %s, %d cores, %d rounds\n", options.ranks,
              options.size_gb, TORCH_VERSION, static_cast<int>(bench::cores()),
              static_cast<int>(options.rounds));
  report.print();
}

void run_rounds(const Options& options) {
  // A run of all groups says what machine it ran on.
  const Machine machine = options.only.empty() ? bench::check_machine(options.dir) : Machine();
  bench::Rounds rounds(options);
  rounds.run();
  bench::add_ratios(rounds.report());

  if (!machine.facts.empty()) bench::print(machine);
  std::printf(
      "%.3f GB in %d parameters with Adam's state, LibTorch %s, %d cores, %d rounds, seed %llu\n",
      rounds.bytes() / 1e9, static_cast<int>(options.tensors), TORCH_VERSION,
      static_cast<int>(bench::cores()), static_cast<int>(options.rounds),
      static_cast<unsigned long long>(options.seed));
  std::printf("rest before each use of the disk: %g s at first, %g s at the end\n", options.pause,
              rounds.pause());
  rounds.report().print();
  if (options.json.empty()) return;
  rounds.report().write_json(options.json,
                             {{"libtorch", TORCH_VERSION},
                              {"cores", std::to_string(bench::cores())},
                              {"bytes", std::to_string(static_cast<size_t>(rounds.bytes()))},
                              {"tensors", std::to_string(options.tensors)},
                              {"rounds", std::to_string(options.rounds)},
                              {"seed", std::to_string(options.seed)},
                              {"pause", std::to_string(rounds.pause())}},
                             machine);
}

void run(const Options& options) {
  if (!options.child.empty()) {
    bench::run_child(options);
  } else if (options.check) {
    run_check(options);
  } else if (options.ranks > 0 || options.empty > 0) {
    run_ranks(options);
  } else {
    run_rounds(options);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = bench::parse_options(argc, argv);
  try {
    run(options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "checkpoint_bench: %s\n", error.what());
    return 1;
  }
}
