// summary: one table of what several benchmarks answered.
//
//   bench_summary [--check] [--markdown] FILE...
//
// Exits with 1 when an aim is missed and --check was given.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "bench/result.h"
#include "nimbus/schema/status.h"

namespace nimbus::bench {
namespace {

constexpr int kExitMissed = 1, kExitUsage = 64, kExitData = 65;

absl::StatusOr<Results> Read(const std::string& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  absl::StatusOr<Results> results = ParseResults(text);
  if (!results.ok()) return schema::Annotate(results.status(), path);
  return results;
}

int Main(int argc, char** argv) {
  CLI::App app("One table of what several benchmarks answered");
  std::vector<std::string> paths;
  bool check = false, markdown = false;
  app.add_option("FILE", paths, "Written by a benchmark's --json")->required();
  app.add_flag("--check", check, "Exit with 1 when an aim is missed");
  app.add_flag("--markdown", markdown, "As bench/README.md has it");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  Results all;
  for (const std::string& path : paths) {
    const absl::StatusOr<Results> results = Read(path);
    if (!results.ok()) {
      fmt::print(stderr, "bench_summary: {}\n", results.status().ToString());
      return kExitData;
    }
    all.rows.insert(all.rows.end(), results->rows.begin(), results->rows.end());
    all.flush_us.insert(all.flush_us.end(), results->flush_us.begin(), results->flush_us.end());
  }
  const auto aims = std::count_if(all.rows.begin(), all.rows.end(),
                                  [](const Row& row) { return row.aim.kind != Aim::Kind::kNone; });
  const auto missed =
      std::count_if(all.rows.begin(), all.rows.end(), [](const Row& row) { return !IsMet(row); });
  fmt::print("{}\n", markdown ? RowsToMarkdown(all.rows) : RowsToText(all.rows));
  if (!all.flush_us.empty()) {
    fmt::print("flush of 4 KiB: {:.0f} us ({:.0f} to {:.0f}); ", Median(all.flush_us),
               Percentile(all.flush_us, 0.0), Percentile(all.flush_us, 1.0));
  }
  fmt::print("{} of {} aims met\n", aims - missed, aims);
  return check && missed > 0 ? kExitMissed : 0;
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
