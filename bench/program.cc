#include "bench/program.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <cstdio>
#include <fstream>
#include <system_error>
#include <utility>

#include "bench/run.h"
#include "nimbus/schema/status.h"

namespace nimbus::bench {
namespace {

namespace fs = std::filesystem;

constexpr int kExitUsage = 64;
constexpr int kExitIo = 74;

// A directory of this run's own, removed with what is in it.
class Scratch {
 public:
  static absl::StatusOr<Scratch> Make(const fs::path& parent) {
    std::error_code error;
    fs::create_directories(parent, error);
    std::string path = (parent / "bench-XXXXXX").string();
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

}  // namespace

Program::Program(std::string name, std::string about)
    : name_(std::move(name)), app_(std::move(about)), directory_(NIMBUS_BENCH_DIR) {
  app_.add_option("--rounds", setup_.rounds, "Runs of each peer; the peers alternate")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app_.add_option("--seed", setup_.seed, "Of the workload's texts")->capture_default_str();
  app_.add_option("--dir", directory_, "Directory on the disk to measure")->capture_default_str();
  app_.add_option("--json", json_, "Write the results to this file, too");
  app_.add_flag("--quick", setup_.quick, "One short round, to see that everything works");
  app_.add_flag("--in-memory", in_memory_,
                "Accept a directory in memory, where nothing is durable");
}

absl::Status Program::MeasureAndReport(
    const std::function<absl::StatusOr<Results>(const Setup&)>& measure) {
  NIMBUS_ASSIGN_OR_RETURN(const Scratch scratch, Scratch::Make(directory_));
  if (!in_memory_) NIMBUS_RETURN_IF_ERROR(CheckOnDisk(scratch.path()));
  setup_.directory = scratch.path();
  if (setup_.quick) setup_.rounds = 1;
  NIMBUS_ASSIGN_OR_RETURN(Results results, measure(setup_));
  results.program = name_;
  results.directory = directory_;
  results.seed = setup_.seed;
  results.rounds = setup_.rounds;
  fmt::print("{}", ToText(results));
  if (json_.empty()) return absl::OkStatus();
  std::ofstream file(json_);
  file << ToJson(results).DumpPretty() << '\n';
  return file.flush() ? absl::OkStatus() : absl::InternalError("cannot write " + json_);
}

int Program::Main(int argc, char** argv,
                  const std::function<absl::StatusOr<Results>(const Setup&)>& measure) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app_.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (run_instead_) {
    const std::optional<absl::Status> status = run_instead_(setup_.seed);
    if (status.has_value()) return status->ok() ? 0 : Fail(*status);
  }
  const absl::Status status = MeasureAndReport(measure);
  return status.ok() ? 0 : Fail(status);
}

int Program::Fail(const absl::Status& status) const {
  fmt::print(stderr, "{}: {}\n", name_, status.ToString());
  return absl::IsInvalidArgument(status) ? kExitUsage : kExitIo;
}

}  // namespace nimbus::bench
