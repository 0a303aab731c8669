#include "simulation/trial.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <sstream>
#include <thread>

#include "testing/program.h"
#include "testing/status_matchers.h"

namespace nimbus::simulation {
namespace {
namespace fs = std::filesystem;

// The records of a call that returned.
std::string RecordsOf(RecordHeader header, const std::string& path, const std::string& data) {
  static uint64_t id = 0;  // the recorder's begin far above
  header.id = ++id;
  header.path_bytes = static_cast<uint32_t>(path.size());
  header.data_bytes = static_cast<uint32_t>(data.size());
  RecordHeader returned{.call = Call::kReturned, .id = header.id, .inode = header.inode};
  returned.offset = static_cast<int64_t>(data.size());
  const auto bytes_of = [](const RecordHeader& of) {
    return std::string(reinterpret_cast<const char*>(&of), sizeof(of));
  };
  if (header.call == Call::kMark) return bytes_of(header) + data;
  return bytes_of(header) + path + data + bytes_of(returned);
}

// A trace that makes the files that are there, each with its inode.
std::string TraceOf(const Image& image, const std::string& root) {
  std::string trace;
  for (const std::string& path : image.directories) {
    trace += RecordsOf({.call = Call::kMakeDirectory}, path, "");
  }
  for (const auto& [path, contents] : image.files) {
    struct stat info {};
    EXPECT_EQ(stat((root + "/" + path).c_str(), &info), 0) << path;
    trace += RecordsOf({.call = Call::kCreate, .inode = info.st_ino}, path, "");
    trace += RecordsOf({.call = Call::kWrite, .inode = info.st_ino}, path, contents.ToString());
  }
  return trace + RecordsOf({.call = Call::kSyncAll}, "", "") +
         RecordsOf({.call = Call::kMark}, "", "begun");
}

// What one judge said, and the number after the last image it came to.
struct Said {
  Verdict verdict;
  std::optional<uint64_t> last;
  std::string error;
};

Said ParseOutput(const std::string& out) {
  Said said;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("image ")) {
      said.last = std::stoull(line.substr(6));
      ++said.verdict.judged;
    }
    if (line.starts_with("bad ")) said.verdict.bad.push_back(line.substr(4));
    if (line.starts_with("error ")) said.error = line.substr(6);
  }
  return said;
}

// Judges [from, to), and goes on behind an image that was the end of the judge.
Verdict JudgeRange(const std::vector<std::string>& argv, uint64_t from, uint64_t to) {
  Verdict verdict;
  while (from < to) {
    std::vector<std::string> with_range = argv;
    with_range.push_back(fmt::format("from={}", from));
    with_range.push_back(fmt::format("to={}", to));
    const absl::StatusOr<test::Finished> run =
        test::RunProgram({.argv = with_range, .timeout_ms = 1'200'000});
    EXPECT_THAT(run, test::IsOk());
    if (!run.ok()) return verdict;
    const Said said = ParseOutput(run->out);
    EXPECT_EQ(said.error, "");
    verdict.judged += said.verdict.judged;
    verdict.bad.insert(verdict.bad.end(), said.verdict.bad.begin(), said.verdict.bad.end());
    if (run->exit_code >= 0 && run->err.empty()) return verdict;
    EXPECT_TRUE(said.last.has_value()) << run->err;
    if (!said.last.has_value()) return verdict;
    verdict.bad.push_back(fmt::format("{}: the judge crashed with signal {}: {}", *said.last,
                                      run->signal, run->err.substr(0, 500)));
    from = *said.last + 1;
  }
  return verdict;
}

}  // namespace

Trial::Trial() { fs::create_directory(root()); }

Trial::Trial(const Image& image, uint64_t records) {
  EXPECT_THAT(WriteImage(image, root()), test::IsOk());
  const std::string opened =
      records > 0 ? RecordsOf({.call = Call::kMark}, "", fmt::format("opened {}", records)) : "";
  EXPECT_TRUE(test::WriteFile(trace(), opened + TraceOf(image, root())));
}

void Trial::Run(const std::vector<Process>& processes) {
  std::vector<std::unique_ptr<test::Program>> programs;
  for (const Process& process : processes) {
    std::vector<std::string> argv = {NIMBUS_SIMULATION_WORKLOAD, root() + "/store"};
    argv.insert(argv.end(), process.arguments.begin(), process.arguments.end());
    std::vector<std::string> environment = {"NIMBUS_RECORD_ROOT=" + root(),
                                            "NIMBUS_RECORD_TRACE=" + trace(),
                                            fmt::format("NIMBUS_RECORD_SLOW={}", process.slow_ms)};
    if (process.calls > 0) {
      environment.push_back(fmt::format("NIMBUS_RECORD_CALLS={}", process.calls));
    }
    absl::StatusOr<std::unique_ptr<test::Program>> program =
        test::Program::Start({.argv = argv, .environment = environment});
    ASSERT_THAT(program, test::IsOk());
    programs.push_back(*std::move(program));
  }
  for (size_t i = 0; i < programs.size(); ++i) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, programs[i]->Wait());
    const bool killed = processes[i].calls > 0 && run.signal == SIGKILL;
    ASSERT_TRUE(killed || run.exit_code == 0) << run.out << run.err;
  }
}

Verdict Judge(const std::string& trace, uint64_t count, const std::string& cases,
              const std::vector<std::string>& options) {
  std::vector<std::string> argv = {NIMBUS_SIMULATION_JUDGE, trace, cases};
  argv.insert(argv.end(), options.begin(), options.end());
  Verdict first, second;
  std::thread other([&] { second = JudgeRange(argv, count / 2, count); });
  first = JudgeRange(argv, 0, count / 2);
  other.join();
  first.judged += second.judged;
  first.bad.insert(first.bad.end(), second.bad.begin(), second.bad.end());
  return first;
}

void ExpectHolds(const Verdict& verdict, const Trial& trial, const std::string& cases) {
  if (verdict.bad.empty()) return;
  std::string kept = (fs::temp_directory_path() / "nimbus-trace-XXXXXX").string();
  const int file = mkstemp(kept.data());
  std::error_code error;
  fs::copy_file(trial.trace(), kept, fs::copy_options::overwrite_existing, error);
  ADD_FAILURE() << verdict.bad.size() << " of " << verdict.judged << " images are bad, the first "
                << verdict.bad.front() << "\nthe trace is kept: " << NIMBUS_SIMULATION_JUDGE << " "
                << (file < 0 || error ? "(not copied)" : kept) << " " << cases;
}

}  // namespace nimbus::simulation
