// append_bench: how fast agents' events become durable, Nimbus beside the
// design it replaces and beside plain LMDB. Method and last results: README.md.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "bench/peer.h"
#include "bench/report.h"
#include "bench/run.h"
#include "nimbus/schema/status.h"

namespace nimbus::bench {
namespace {

namespace fs = std::filesystem;

constexpr int kExitUsage = 64;
constexpr int kExitIo = 74;

struct Options {
  std::vector<size_t> writers = {1, 8, 64};
  double seconds = 1;
  uint64_t operations = 0;
  size_t rounds = 5;
  uint64_t seed = 1;
  std::string directory = NIMBUS_BENCH_DIR;
  std::string json;
  std::vector<std::string> peers;
  bool in_memory = false;
};

void AddOptions(CLI::App& app, Options& options) {
  std::vector<std::string> names;
  for (const PeerKind& kind : PeerKinds()) names.emplace_back(kind.name);
  app.add_option("--writers", options.writers, "Numbers of concurrent writers")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "Length of one run")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  app.add_option("--operations", options.operations,
                 "End a run when each writer has done so many operations, not by time");
  app.add_option("--rounds", options.rounds, "Runs of each peer; the peers alternate")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Of the workload's texts")->capture_default_str();
  app.add_option("--dir", options.directory, "Directory on the disk to measure")
      ->capture_default_str();
  app.add_option("--json", options.json, "Write the results to this file, too");
  app.add_option("--peers", options.peers, "Only these")
      ->delimiter(',')
      ->check(CLI::IsMember(names));
  app.add_flag("--in-memory", options.in_memory,
               "Accept a directory in memory, where nothing is durable");
}

// A directory of this run's own, removed with what is in it.
class Scratch {
 public:
  static absl::StatusOr<Scratch> Make(const fs::path& parent) {
    std::error_code error;
    fs::create_directories(parent, error);
    std::string path = (parent / "append_bench-XXXXXX").string();
    if (error || mkdtemp(path.data()) == nullptr) {
      return schema::Error(absl::StatusCode::kInternal, "cannot make a directory in {}",
                           parent.string());
    }
    return Scratch(path);
  }
  Scratch(Scratch&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~Scratch() {
    std::error_code ignored;  // nothing can be done about what can't be removed
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  const fs::path& path() const { return path_; }

 private:
  explicit Scratch(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

std::vector<PeerKind> Chosen(const Options& options) {
  std::vector<PeerKind> kinds;
  for (const PeerKind& kind : PeerKinds()) {
    if (options.peers.empty() ||
        std::find(options.peers.begin(), options.peers.end(), kind.name) != options.peers.end()) {
      kinds.push_back(kind);
    }
  }
  return kinds;
}

// One number of writers: the peers in turn, round after round.
absl::Status MeasureWriters(const Options& options, size_t writers, const fs::path& directory,
                            Report* report) {
  const std::vector<PeerKind> kinds = Chosen(options);
  std::vector<Series> series;
  for (const PeerKind& kind : kinds) series.push_back({std::string(kind.name), writers, {}});
  Texts texts(test::Workload(options.seed), writers);
  const RunOptions run{
      .writers = writers, .seconds = options.seconds, .operations = options.operations};
  for (size_t round = 0; round < options.rounds; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(const double flush_us, MeasureFlush(directory));
    report->flush_us.push_back(flush_us);
    for (size_t kind = 0; kind < kinds.size(); ++kind) {
      NIMBUS_ASSIGN_OR_RETURN(RunResult result,
                              MeasurePeer(kinds[kind], run, texts, directory / "run"));
      if (isatty(STDERR_FILENO)) {
        fmt::print(stderr, "{} writers, round {} of {}: {} {:.0f} events/s\n", writers, round + 1,
                   options.rounds, kinds[kind].name, result.EventsPerSecond());
      }
      series[kind].rounds.push_back(result);
    }
  }
  report->series.insert(report->series.end(), series.begin(), series.end());
  return absl::OkStatus();
}

absl::StatusOr<Report> MeasureAll(const Options& options, const fs::path& directory) {
  Report report;
  report.directory = options.directory;
  report.seed = options.seed;
  for (const size_t writers : options.writers) {
    NIMBUS_RETURN_IF_ERROR(MeasureWriters(options, writers, directory, &report));
  }
  return report;
}

int Fail(const absl::Status& status, int code) {
  fmt::print(stderr, "append_bench: {}\n", status.ToString());
  return code;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Durable appends of the canonical workload, side by side with other designs.");
  AddOptions(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  absl::StatusOr<Scratch> scratch = Scratch::Make(options.directory);
  if (!scratch.ok()) return Fail(scratch.status(), kExitIo);
  if (const absl::Status status = CheckOnDisk(scratch->path());
      !status.ok() && !options.in_memory) {
    return Fail(status, kExitUsage);
  }
  const absl::StatusOr<Report> report = MeasureAll(options, scratch->path());
  if (!report.ok()) return Fail(report.status(), kExitIo);
  fmt::print("{}", ToText(*report));
  if (!options.json.empty()) {
    std::ofstream file(options.json);
    file << ToJson(*report).DumpPretty() << '\n';
    if (!file.flush()) return Fail(absl::InternalError("cannot write " + options.json), kExitIo);
  }
  return 0;
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
