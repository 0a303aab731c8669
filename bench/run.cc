#include "bench/run.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "bench/result.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"

namespace nimbus::bench {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr size_t kTextsMin = 256;  // operations whose texts differ, in one run
constexpr size_t kTextsPerWriterMin = 8;
constexpr int kFlushes = 50;
constexpr size_t kFlushBytes = 4096;

double Micros(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

absl::Status SystemError(absl::StatusCode code, const fs::path& path, int error) {
  return schema::Error(code, "{}: {}", path.string(), std::strerror(error));
}

struct WriterResult {
  std::vector<double> latencies_us;
  Clock::time_point end;
  absl::Status status;
};

// What one writer's thread does once the others are ready, too.
WriterResult Write(Peer& peer, size_t writer, const RunOptions& options, Texts& texts) {
  WriterResult result;
  result.end = Clock::now();
  const Clock::time_point deadline =
      result.end +
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds));
  const size_t events = texts.operation_events();
  const size_t step = options.whole_operations ? events : 1;
  for (uint64_t round = 0; options.operations == 0 || round < options.operations; ++round) {
    const test::WorkloadOperation& operation = texts.Next(writer, round);
    for (size_t index = 0; index < events; index += step) {
      const Clock::time_point start = Clock::now();
      if (options.operations == 0 && start >= deadline) return result;
      result.status = peer.Append(writer, operation, index, index + step);
      if (!result.status.ok()) return result;
      result.end = Clock::now();
      result.latencies_us.push_back(Micros(result.end - start));
    }
  }
  return result;
}

absl::StatusOr<RunResult> Measure(Peer& peer, const RunOptions& options, Texts& texts) {
  std::vector<WriterResult> results(options.writers);
  std::barrier ready(static_cast<std::ptrdiff_t>(options.writers) + 1);
  std::vector<std::thread> threads;
  for (size_t writer = 0; writer < options.writers; ++writer) {
    threads.emplace_back([&, writer] {
      ready.arrive_and_wait();
      results[writer] = Write(peer, writer, options, texts);
    });
  }
  ready.arrive_and_wait();
  const Clock::time_point start = Clock::now();
  for (std::thread& thread : threads) thread.join();

  Clock::time_point end = start;
  std::vector<double> latencies;
  for (const WriterResult& result : results) {
    NIMBUS_RETURN_IF_ERROR(result.status);
    end = std::max(end, result.end);
    latencies.insert(latencies.end(), result.latencies_us.begin(), result.latencies_us.end());
  }
  if (latencies.empty()) return absl::DeadlineExceededError("no append came back in time");
  RunResult result;
  const size_t events_each = options.whole_operations ? texts.operation_events() : 1;
  result.events = latencies.size() * events_each;
  result.seconds = std::chrono::duration<double>(end - start).count();
  result.p50_us = Percentile(latencies, 0.50);
  result.p99_us = Percentile(latencies, 0.99);
  return result;
}

absl::StatusOr<uint64_t> AllocatedBytes(const fs::path& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory, error)) {
    struct stat status;
    if (lstat(entry.path().c_str(), &status) != 0) {
      return SystemError(absl::StatusCode::kInternal, entry.path(), errno);
    }
    if (S_ISREG(status.st_mode)) bytes += static_cast<uint64_t>(status.st_blocks) * 512;
  }
  if (error) return SystemError(absl::StatusCode::kInternal, directory, error.value());
  return bytes;
}

absl::StatusOr<RunResult> RunIn(const PeerKind& kind, const RunOptions& options, Texts& texts,
                                const fs::path& directory) {
  NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<Peer> peer, kind.open({.directory = directory.string(),
                                                                 .sessions = texts.Sessions(),
                                                                 .relaxed = options.relaxed}));
  const double cpu_us = CpuMicros();
  NIMBUS_ASSIGN_OR_RETURN(RunResult result, Measure(*peer, options, texts));
  const Clock::time_point measured = Clock::now();
  peer.reset();
  result.close_seconds = std::chrono::duration<double>(Clock::now() - measured).count();
  result.cpu_us = CpuMicros() - cpu_us;
  NIMBUS_ASSIGN_OR_RETURN(result.bytes, AllocatedBytes(directory));
  return result;
}

}  // namespace

absl::Status RemoveDurably(const fs::path& directory) {
  std::error_code error;
  fs::remove_all(directory, error);
  if (error) return SystemError(absl::StatusCode::kInternal, directory, error.value());
  const int parent = open(directory.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent < 0) return SystemError(absl::StatusCode::kInternal, directory, errno);
  const int result = syncfs(parent);
  const int sync_error = errno;
  close(parent);
  return result == 0 ? absl::OkStatus()
                     : SystemError(absl::StatusCode::kInternal, directory, sync_error);
}

Texts::Texts(const test::Workload& workload, size_t writers, Content content)
    : workload_(workload), content_(content) {
  const size_t each = std::max(kTextsPerWriterMin, kTextsMin / writers);
  for (size_t writer = 0; writer < writers; ++writer) {
    std::vector<test::WorkloadOperation> operations;
    for (size_t item = 0; item < each; ++item) {
      const uint64_t number = writer * each + item;
      operations.push_back(content == Content::kSingle ? workload_.SingleEvent(number)
                                                       : workload_.Operation(number));
    }
    operations_.push_back(std::move(operations));
  }
}

size_t Texts::operation_events() const {
  return content_ == Content::kSingle ? 1 : test::kWorkloadEvents;
}

std::vector<schema::Uuid> Texts::Sessions() const {
  std::vector<schema::Uuid> sessions;
  for (size_t writer = 0; writer < writers(); ++writer) {
    sessions.push_back(workload_.SessionId(writer));
  }
  return sessions;
}

const test::WorkloadOperation& Texts::Next(size_t writer, uint64_t round) {
  test::WorkloadOperation& operation = operations_[writer][round % operations_[writer].size()];
  workload_.Renumber(round * writers() + writer, &operation);
  return operation;
}

absl::StatusOr<RunResult> MeasurePeer(const PeerKind& kind, const RunOptions& options, Texts& texts,
                                      const fs::path& directory) {
  NIMBUS_CHECK(texts.writers() == options.writers && texts.content() == options.content);
  std::error_code error;
  if (!fs::create_directory(directory, error)) {
    return SystemError(absl::StatusCode::kInternal, directory, error ? error.value() : EEXIST);
  }
  absl::StatusOr<RunResult> result = RunIn(kind, options, texts, directory);
  const absl::Status removed = RemoveDurably(directory);
  if (!result.ok()) return schema::Annotate(result.status(), std::string(kind.name));
  NIMBUS_RETURN_IF_ERROR(removed);
  return result;
}

absl::StatusOr<double> MeasureFlush(const fs::path& directory) {
  const fs::path path = directory / "flush";
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return SystemError(absl::StatusCode::kInternal, path, errno);
  const std::string block(kFlushBytes, 'x');
  std::vector<double> micros;
  int error = 0;
  for (int flush = 0; flush < kFlushes && error == 0; ++flush) {
    const Clock::time_point start = Clock::now();
    if (write(file, block.data(), block.size()) != static_cast<ssize_t>(block.size()) ||
        fdatasync(file) != 0) {
      error = errno;
    }
    micros.push_back(Micros(Clock::now() - start));
  }
  close(file);
  unlink(path.c_str());
  if (error != 0) return SystemError(absl::StatusCode::kInternal, path, error);
  return Percentile(std::move(micros), 0.5);
}

absl::Status CheckOnDisk(const fs::path& directory) {
  struct statfs status;
  if (statfs(directory.c_str(), &status) != 0) {
    return SystemError(absl::StatusCode::kNotFound, directory, errno);
  }
  if (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC) {
    return schema::Error(absl::StatusCode::kInvalidArgument,
                         "{} is in memory, where nothing is durable; choose a directory on a disk "
                         "with --dir",
                         directory.string());
  }
  return absl::OkStatus();
}

double CpuMicros() {
  struct rusage usage;
  NIMBUS_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  const auto micros = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return micros(usage.ru_utime) + micros(usage.ru_stime);
}

absl::StatusOr<double> AnonymousMemory() {
  std::ifstream status("/proc/self/status");
  constexpr std::string_view kKey = "RssAnon:";
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(kKey)) continue;
    const size_t digits = line.find_first_of("0123456789");
    uint64_t kilobytes = 0;
    std::from_chars(line.data() + digits, line.data() + line.size(), kilobytes);
    return static_cast<double>(kilobytes) / 1e3;
  }
  return absl::NotFoundError("no RssAnon in /proc/self/status");
}

}  // namespace nimbus::bench
