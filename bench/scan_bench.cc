// scan_bench: reading a whole journal that is in no cache, beside reading the
// same bytes from a plain file. Method and last results: README.md.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/program.h"
#include "bench/run.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/status.h"
#include "testing/workload.h"

namespace nimbus::bench {
namespace {

namespace fs = std::filesystem;
using journal::Journal;

constexpr uint64_t kQuickOperations = 50;
constexpr size_t kReadBytes = 1u << 20;

class File {
 public:
  File(const fs::path& path, int flags) : file_(open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~File() {
    if (file_ >= 0) close(file_);
  }
  int get() const { return file_; }

 private:
  const int file_;
};

absl::Status Failure(const fs::path& path) {
  return schema::Error(absl::StatusCode::kInternal, "{}: {}", path.string(), std::strerror(errno));
}

// Its operations are appended one by one, each as a whole.
absl::StatusOr<journal::Stat> Fill(const fs::path& store, uint64_t operations, uint64_t seed) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal,
                          Journal::Open(store.string(), {}));
  Texts texts(test::Workload(seed), 1);
  const schema::Uuid session = texts.Sessions().front();
  NIMBUS_RETURN_IF_ERROR(journal->Append(test::SessionStarted(session)).status());
  for (uint64_t number = 0; number < operations; ++number) {
    NIMBUS_RETURN_IF_ERROR(journal->Append(texts.Next(0, number).Events(session)).status());
  }
  NIMBUS_RETURN_IF_ERROR(journal->ApplyLog());
  return journal->GetStat();
}

// The first `bytes` of `from`, or all there are.
absl::StatusOr<uint64_t> Copy(const fs::path& from, const fs::path& to, uint64_t bytes) {
  const File in(from, O_RDONLY), out(to, O_WRONLY | O_CREAT | O_EXCL);
  if (in.get() < 0) return Failure(from);
  if (out.get() < 0) return Failure(to);
  std::vector<char> buffer(kReadBytes);
  uint64_t copied = 0;
  while (copied < bytes) {
    const size_t wanted = std::min<uint64_t>(buffer.size(), bytes - copied);
    const ssize_t got = read(in.get(), buffer.data(), wanted);
    if (got < 0) return Failure(from);
    if (got == 0) break;
    if (write(out.get(), buffer.data(), static_cast<size_t>(got)) != got) return Failure(to);
    copied += static_cast<uint64_t>(got);
  }
  if (fsync(out.get()) != 0) return Failure(to);
  return copied;
}

// Takes all files below out of this machine's page cache.
absl::Status DropCaches(const fs::path& directory) {
  sync();
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    const File file(entry.path(), O_RDONLY);
    if (file.get() < 0) return Failure(entry.path());
    if (const int error = posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED); error != 0) {
      errno = error;
      return Failure(entry.path());
    }
  }
  return absl::OkStatus();
}

template <typename Work>
absl::StatusOr<double> Seconds(const fs::path& directory, const Work& work) {
  NIMBUS_RETURN_IF_ERROR(DropCaches(directory));
  const auto begin = std::chrono::steady_clock::now();
  NIMBUS_RETURN_IF_ERROR(work());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

absl::Status ReadPlain(const fs::path& path) {
  const File file(path, O_RDONLY);
  if (file.get() < 0) return Failure(path);
  std::vector<char> buffer(kReadBytes);
  ssize_t got = 0;
  while ((got = read(file.get(), buffer.data(), buffer.size())) > 0) {
  }
  return got == 0 ? absl::OkStatus() : Failure(path);
}

// Opening it is a part of reading it.
absl::Status Scan(const fs::path& store, bool bodies, uint64_t records) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal,
                          Journal::Open(store.string(), {.create = false, .read_only = true}));
  journal::Reader reader(*journal);
  uint64_t read = 0;
  for (;; ++read) {
    NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* record, reader.Next());
    if (record == nullptr) break;
    if (bodies) NIMBUS_RETURN_IF_ERROR(reader.Body(*record).status());
  }
  if (read == records) return absl::OkStatus();
  return schema::Error(absl::StatusCode::kDataLoss, "{} of {} records were read", read, records);
}

absl::StatusOr<Results> Measure(const Setup& setup, uint64_t operations) {
  const fs::path store = setup.directory / "store", plain = setup.directory / "plain";
  if (setup.quick) operations = kQuickOperations;
  NIMBUS_ASSIGN_OR_RETURN(const journal::Stat stat, Fill(store, operations, setup.seed));
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t bytes,
                          Copy(store / "journal-1" / "data.mdb", plain, stat.bytes_used));
  std::vector<double> plain_s, records_s, bodies_s;
  for (size_t round = 0; round < setup.rounds; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(plain_s.emplace_back(),
                            Seconds(setup.directory, [&] { return ReadPlain(plain); }));
    NIMBUS_ASSIGN_OR_RETURN(records_s.emplace_back(), Seconds(setup.directory, [&] {
                              return Scan(store, /*bodies=*/false, stat.records);
                            }));
    NIMBUS_ASSIGN_OR_RETURN(bodies_s.emplace_back(), Seconds(setup.directory, [&] {
                              return Scan(store, /*bodies=*/true, stat.records);
                            }));
  }
  Results results;
  results.text =
      fmt::format("{} records in {} bytes; plain file {:.0f} MB/s, records {:.0f}/s\n",
                  stat.records, bytes, static_cast<double>(bytes) / Median(plain_s) / 1e6,
                  static_cast<double>(stat.records) / Median(records_s));
  results.rows.push_back(MakeRow({.question = "cold scan of all records, s",
                                  .unit = "s",
                                  .peer = "plain file",
                                  .measure = Measure::kInverse,
                                  .aim = AtLeast(0.8)},
                                 records_s, plain_s));
  results.rows.push_back(MakeRow({.question = "cold scan of records and bodies, s",
                                  .unit = "s",
                                  .peer = "plain file",
                                  .measure = Measure::kInverse},
                                 bodies_s, plain_s));
  return results;
}

int Main(int argc, char** argv) {
  Program program("scan_bench", "Reading a whole journal that is in no cache.");
  uint64_t operations = 8000;
  program.app()
      .add_option("--operations", operations, "Operations of 24 events in the journal")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  return program.Main(argc, argv, [&](const Setup& setup) { return Measure(setup, operations); });
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
