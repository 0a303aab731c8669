// One run: a peer in an empty directory, some writers, a while.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/peer.h"
#include "testing/workload.h"

namespace nimbus::bench {

// What the events are.
enum class Content {
  kCanonical,  // operations of 24 events, see testing/workload.h
  kSingle,     // operations of one event, with 1 KB of JSON
};

struct RunOptions {
  Content content = Content::kCanonical;
  size_t writers = 1;
  bool whole_operations = false;  // in one append, instead of an append per event
  bool relaxed = false;           // see PeerSetup
  double seconds = 1;             // stop after this long …
  uint64_t operations = 0;        // … or, unless 0, when each writer has done so many
};

struct RunResult {
  uint64_t events = 0;
  double seconds = 0;  // from the first append to the last acknowledgement
  double p50_us = 0;   // latency of one append
  double p99_us = 0;
  // Of the whole process, user and system, from the first append until the peer
  // is closed: work that was put off is in it. So is making the events.
  double cpu_us = 0;
  double close_seconds = 0;
  uint64_t bytes = 0;  // allocated to the directory's files once the peer is closed

  double EventsPerSecond() const { return static_cast<double>(events) / seconds; }
  double CpuPerEvent() const { return cpu_us / static_cast<double>(events); }
  double BytesPerEvent() const { return static_cast<double>(bytes) / static_cast<double>(events); }
};

// The texts the writers append, made before any clock runs: some operations of
// each writer, which get new ids every time they are used.
class Texts {
 public:
  Texts(const test::Workload& workload, size_t writers, Content content = Content::kCanonical);

  const test::Workload& workload() const { return workload_; }
  size_t writers() const { return operations_.size(); }
  Content content() const { return content_; }
  size_t operation_events() const;
  std::vector<schema::Uuid> Sessions() const;

  // Operation `round` of a writer; valid until the writer's next one.
  const test::WorkloadOperation& Next(size_t writer, uint64_t round);

 private:
  test::Workload workload_;
  Content content_;
  std::vector<std::vector<test::WorkloadOperation>> operations_;  // by writer
};

// Makes `directory`, measures the peer in it, and removes it again. The first
// error of any writer ends the run.
absl::StatusOr<RunResult> MeasurePeer(const PeerKind& kind, const RunOptions& options, Texts& texts,
                                      const std::filesystem::path& directory);

// Removes what a run left and waits until the disk has done so, so that no run
// pays for the one before it.
absl::Status RemoveDurably(const std::filesystem::path& directory);

// Median microseconds to append 4 KiB to a file in `directory` and fdatasync
// it: what one flush costs here.
absl::StatusOr<double> MeasureFlush(const std::filesystem::path& directory);

// InvalidArgument when the directory is in memory, where nothing is durable and
// a flush costs nothing.
absl::Status CheckOnDisk(const std::filesystem::path& directory);

// User and system, of all threads of this process.
double CpuMicros();

// Of this process, in MB. Pages of a memory map are the page cache's, and not in it.
absl::StatusOr<double> AnonymousMemory();

}  // namespace nimbus::bench
