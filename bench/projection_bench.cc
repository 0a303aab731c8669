// projection_bench: how fast the views are made from a journal of the canonical
// workload, beside a loop written by hand that makes the same rows, and how far
// they lag behind a journal that grows. Method and last results: README.md.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/program.h"
#include "bench/result.h"
#include "bench/row_loop.h"
#include "bench/run.h"
#include "bench/views_lag.h"
#include "digest.h"
#include "nimbus/journal/reader.h"
#include "nimbus/projections/database.h"
#include "nimbus/schema/status.h"
#include "sqlite.h"
#include "testing/workload.h"

namespace nimbus::bench {
namespace {

namespace fs = std::filesystem;
namespace fb = schema::fb;
using journal::Journal;
using journal::RecordView;
using projections::Database;

constexpr int64_t kLookMs = 50;  // at the memory of a process that rebuilds
constexpr uint64_t kQuickOperations = 20;
constexpr size_t kAppendTogether = 480;

using Events = std::vector<schema::Event>;

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Operations of which each is `make`(number), as a journal with no views.
template <typename Make>
absl::Status Fill(const std::string& store, const schema::Uuid& session, uint64_t operations,
                  const Make& make) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
  Events events;
  events.push_back(test::SessionStarted(session));
  for (uint64_t i = 0; i < operations; ++i) {
    for (schema::Event& event : make(i).Events(session)) events.push_back(std::move(event));
    if (events.size() < kAppendTogether && i + 1 < operations) continue;
    NIMBUS_RETURN_IF_ERROR(journal->Append(events).status());
    events.clear();
  }
  return absl::OkStatus();
}

struct Rebuild {
  double events_per_second = 0;
  double cpu_us = 0;     // of an event; compares across machines that do other things too
  double bytes = 0;      // of an event
  double memory_mb = 0;  // anonymous, the most that was seen
  double events = 0;
};

absl::Status RemoveViews(const std::string& store) {
  for (const auto& entry : fs::directory_iterator(store)) {
    if (entry.path().filename().string().starts_with("views")) fs::remove_all(entry.path());
  }
  sync();  // no run pays for the one before it
  return absl::OkStatus();
}

absl::StatusOr<Rebuild> MeasureRebuild(const std::string& store) {
  NIMBUS_RETURN_IF_ERROR(RemoveViews(store));
  Rebuild rebuild;
  const double begin = Seconds(), cpu_us = CpuMicros();
  NIMBUS_ASSIGN_OR_RETURN(auto database, Database::Open(store, {}));
  for (;;) {
    const absl::Status caught_up = database->CatchUp(kLookMs);
    NIMBUS_ASSIGN_OR_RETURN(const double memory_mb, AnonymousMemory());
    rebuild.memory_mb = std::max(rebuild.memory_mb, memory_mb);
    if (caught_up.ok()) break;
    if (!absl::IsDeadlineExceeded(caught_up)) return caught_up;
  }
  const double seconds = Seconds() - begin, cpu = CpuMicros() - cpu_us;
  NIMBUS_ASSIGN_OR_RETURN(const projections::ViewsStatus status, database->GetViewsStatus());
  database.reset();
  rebuild.events = static_cast<double>(status.watermark);
  rebuild.events_per_second = rebuild.events / seconds;
  rebuild.cpu_us = cpu / rebuild.events;
  rebuild.bytes = static_cast<double>(fs::file_size(status.path)) / rebuild.events;
  return rebuild;
}

// Reads the journal as the views do: each record and body checked, in batches as theirs.
// Calls `apply` with each record, `begin` and `commit` around a batch.
template <typename Begin, typename Apply, typename Commit>
absl::StatusOr<uint64_t> ReadInBatches(const Journal& journal, const Begin& begin,
                                       const Apply& apply, const Commit& commit) {
  const projections::ViewsOptions limits;
  journal::Reader reader(journal);
  uint64_t records = 0;
  for (bool more = true; more;) {
    NIMBUS_RETURN_IF_ERROR(begin());
    for (size_t in = 0, bytes = 0; in < limits.batch_records_max && bytes < limits.batch_bytes_max;
         ++in) {
      NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, reader.Next());
      more = view != nullptr;
      if (!more) break;
      ++records;
      const size_t body_bytes = view->envelope().body_size();
      bytes += view->bytes.size() + body_bytes;
      const fb::Body* body = nullptr;
      if (body_bytes > 0) {
        NIMBUS_ASSIGN_OR_RETURN(body, reader.Body(*view));
      }
      NIMBUS_RETURN_IF_ERROR(apply(*view, body));
    }
    NIMBUS_RETURN_IF_ERROR(commit());
  }
  return records;
}

struct LoopRun {
  double events_per_second = 0;
  double cpu_us = 0;  // of an event
};

// The loop that has to read the journal.
absl::StatusOr<LoopRun> MeasureReadingLoop(const std::string& store, const std::string& path) {
  const double begin = Seconds(), cpu_us = CpuMicros();
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<RowLoop> loop, RowLoop::Create(path));
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t records,
                          ReadInBatches(
                              *journal, [&] { return loop->Begin(); },
                              [&](const RecordView& view, const fb::Body* body) {
                                return loop->Apply(*view.record, view.sequence, body);
                              },
                              [&] { return loop->Commit(); }));
  const auto events = static_cast<double>(records);
  return LoopRun{.events_per_second = events / (Seconds() - begin),
                 .cpu_us = (CpuMicros() - cpu_us) / events};
}

// A record and its body, decoded, in memory of their own.
struct Decoded {
  uint64_t sequence = 0;
  std::vector<uint8_t> record;
  flatbuffers::DetachedBuffer body;  // empty without
};

Decoded Decode(const RecordView& view, const fb::Body* body) {
  Decoded decoded{.sequence = view.sequence, .record = {}, .body = {}};
  decoded.record.assign(view.bytes.begin(), view.bytes.end());
  if (body == nullptr) return decoded;
  flatbuffers::FlatBufferBuilder builder;
  const std::unique_ptr<fb::BodyT> copy(body->UnPack());
  builder.Finish(fb::Body::Pack(builder, copy.get()));
  decoded.body = builder.Release();
  return decoded;
}

// All batches of the journal, read before any clock runs.
absl::StatusOr<std::vector<std::vector<Decoded>>> DecodeAll(const std::string& store) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
  std::vector<std::vector<Decoded>> batches;
  NIMBUS_RETURN_IF_ERROR(ReadInBatches(
                             *journal, [&] { return batches.emplace_back(), absl::OkStatus(); },
                             [&](const RecordView& view, const fb::Body* body) {
                               batches.back().push_back(Decode(view, body));
                               return absl::OkStatus();
                             },
                             [] { return absl::OkStatus(); })
                             .status());
  return batches;
}

// Events a second of the loop that has them in memory.
absl::StatusOr<double> MeasureLoop(const std::vector<std::vector<Decoded>>& batches,
                                   const std::string& path) {
  const double begin = Seconds();
  double events = 0;
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<RowLoop> loop, RowLoop::Create(path));
  for (const std::vector<Decoded>& batch : batches) {
    NIMBUS_RETURN_IF_ERROR(loop->Begin());
    for (const Decoded& event : batch) {
      const fb::Body* body =
          event.body.size() == 0 ? nullptr : flatbuffers::GetRoot<fb::Body>(event.body.data());
      NIMBUS_RETURN_IF_ERROR(loop->Apply(*flatbuffers::GetRoot<fb::Record>(event.record.data()),
                                         event.sequence, body));
    }
    NIMBUS_RETURN_IF_ERROR(loop->Commit());
    events += static_cast<double>(batch.size());
  }
  return events / (Seconds() - begin);
}

// Internal unless the loop's tables hold what those of the views do.
absl::Status CheckSameRows(const std::string& views, const std::string& loop) {
  using projections::TableDigest;
  using projections::sqlite::Connection;
  std::vector<std::vector<TableDigest>> digests;
  for (const std::string& path : {views, loop}) {
    NIMBUS_ASSIGN_OR_RETURN(Connection database,
                            Connection::Open(path, {.mode = Connection::Mode::kReadWrite}));
    NIMBUS_ASSIGN_OR_RETURN(digests.emplace_back(), projections::DigestTables(&database));
  }
  for (const TableDigest& table : digests[1]) {
    if (std::count(digests[0].begin(), digests[0].end(), table) == 1) continue;
    return schema::Error(absl::StatusCode::kInternal, "the loop and the views differ in table {}",
                         table.table);
  }
  return absl::OkStatus();
}

struct Rounds {
  std::vector<double> rates, cpu, bytes, reading_loop, reading_cpu, loop;
};

absl::StatusOr<Rounds> MeasureRebuilds(const Setup& setup, uint64_t operations) {
  const std::string store = (setup.directory / "store").string();
  const fs::path beside = setup.directory / "loop";
  const test::Workload workload(setup.seed);
  NIMBUS_RETURN_IF_ERROR(Fill(store, workload.SessionId(0), operations,
                              [&](uint64_t i) { return workload.Operation(i); }));
  NIMBUS_ASSIGN_OR_RETURN(const auto batches, DecodeAll(store));
  Rounds rounds;
  const std::string path = (beside / "rows.db").string();
  for (size_t round = 0; round < setup.rounds; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(const Rebuild rebuild, MeasureRebuild(store));
    rounds.rates.push_back(rebuild.events_per_second);
    rounds.cpu.push_back(rebuild.cpu_us);
    rounds.bytes.push_back(rebuild.bytes);
    fs::create_directory(beside);
    NIMBUS_ASSIGN_OR_RETURN(const LoopRun reading, MeasureReadingLoop(store, path));
    rounds.reading_loop.push_back(reading.events_per_second);
    rounds.reading_cpu.push_back(reading.cpu_us);
    NIMBUS_RETURN_IF_ERROR(CheckSameRows(store + "/views.db", path));
    NIMBUS_RETURN_IF_ERROR(RemoveDurably(beside));
    fs::create_directory(beside);
    NIMBUS_ASSIGN_OR_RETURN(rounds.loop.emplace_back(), MeasureLoop(batches, path));
    NIMBUS_RETURN_IF_ERROR(CheckSameRows(store + "/views.db", path));
    NIMBUS_RETURN_IF_ERROR(RemoveDurably(beside));
  }
  NIMBUS_RETURN_IF_ERROR(RemoveDurably(store));
  return rounds;
}

Row ValueRow(const std::string& question, const char* unit, const std::vector<double>& rounds,
             Aim aim = {}) {
  return MakeRow({.question = question, .unit = unit, .measure = Measure::kValue, .aim = aim},
                 rounds, {});
}

absl::Status AddRebuilds(const Setup& setup, uint64_t operations, Results* results) {
  NIMBUS_ASSIGN_OR_RETURN(const Rounds rounds, MeasureRebuilds(setup, operations));
  const auto beside = [&](const char* peer, const std::vector<double>& theirs, Aim aim) {
    return MakeRow(
        {.question = "views rebuilt: events/s", .unit = "events/s", .peer = peer, .aim = aim},
        rounds.rates, theirs);
  };
  for (Row& row : std::vector<Row>{beside("loop, reading", rounds.reading_loop, AtLeast(0.8)),
                                   beside("loop, in memory", rounds.loop, {}),
                                   MakeRow({.question = "views rebuilt: CPU per event, us",
                                   .unit = "us",
                                   .peer = "loop, reading"},
                                           rounds.cpu, rounds.reading_cpu),
                                   ValueRow("views: size of an event", "bytes", rounds.bytes)}) {
    results->rows.push_back(std::move(row));
  }
  return absl::OkStatus();
}

// Lags of one writer, as those in its own process see them, or in another.
absl::Status AddLags(const Setup& setup, const LagOptions& options, Results* results) {
  const std::string where = options.other_process ? "another process" : "the same process";
  const fs::path store = setup.directory / "lag";
  Texts texts(test::Workload(setup.seed), 1);
  std::vector<double> p50, p99;
  for (size_t round = 0; round < setup.rounds; ++round) {
    NIMBUS_ASSIGN_OR_RETURN(const Lags lags,
                            MeasureLag(store.string(), &texts, options, round * options.events));
    p50.push_back(Percentile(lags.ms, 0.5));
    p99.push_back(Percentile(lags.ms, 0.99));
    results->text +=
        fmt::format("writer, views in {}: {:.0f} events/s\n", where, lags.events_per_second);
  }
  NIMBUS_RETURN_IF_ERROR(RemoveDurably(store));
  const std::string question =
      fmt::format("views in {} behind {} events/s", where, options.events_per_second);
  results->rows.push_back(ValueRow(question + ", p50", "ms", p50));
  results->rows.push_back(
      ValueRow(question + ", p99", "ms", p99, AtMost(options.other_process ? 20 : 5)));
  return absl::OkStatus();
}

// Once, however many rounds there are.
absl::Status AddLarge(const Setup& setup, uint64_t operations, Results* results) {
  const std::string store = (setup.directory / "large").string();
  Texts texts(test::Workload(setup.seed), 1);
  NIMBUS_RETURN_IF_ERROR(Fill(store, texts.Sessions().front(), operations,
                              [&](uint64_t i) { return texts.Next(0, i); }));
  NIMBUS_ASSIGN_OR_RETURN(const Rebuild rebuild, MeasureRebuild(store));
  const std::string question = fmt::format("views of {:.3g} events rebuilt: ", rebuild.events);
  results->rows.push_back(ValueRow(question + "events/s", "events/s", {rebuild.events_per_second}));
  results->rows.push_back(ValueRow(question + "anonymous memory", "MB", {rebuild.memory_mb}));
  return absl::OkStatus();
}

struct Amounts {
  uint64_t operations = 2000;  // to rebuild, in each round
  uint64_t lag_events = 30'000;
  uint64_t large_operations = 41'667;  // a million events
};

absl::StatusOr<Results> MeasureAll(const Setup& setup, Amounts amounts) {
  if (setup.quick) amounts = {kQuickOperations, kAppendTogether, kQuickOperations};
  Results results;
  if (amounts.operations > 0) {
    NIMBUS_RETURN_IF_ERROR(AddRebuilds(setup, amounts.operations, &results));
  }
  if (amounts.lag_events > 0) {
    for (const bool other_process : {false, true}) {
      NIMBUS_RETURN_IF_ERROR(
          AddLags(setup, {.events = amounts.lag_events, .other_process = other_process}, &results));
    }
  }
  if (amounts.large_operations > 0) {
    NIMBUS_RETURN_IF_ERROR(AddLarge(setup, amounts.large_operations, &results));
  }
  return results;
}

int Main(int argc, char** argv) {
  Program program("projection_bench", "Making the SQLite views, and how far they lag.");
  Amounts amounts;
  uint64_t child_events = 0;
  std::string child_of;
  const auto add = [&](const char* name, uint64_t* amount, const char* description) {
    program.app().add_option(name, *amount, description)->capture_default_str();
  };
  add("--operations", &amounts.operations, "Of 24 events, to rebuild in each round; 0: none");
  add("--lag-events", &amounts.lag_events, "To append at a steady rate in each round; 0: none");
  add("--large-operations", &amounts.large_operations, "To rebuild once; 0: none");
  program.app().add_option("--child-of", child_of)->group("");
  program.app().add_option("--child-events", child_events)->group("");
  program.RunInstead([&](uint64_t) -> std::optional<absl::Status> {
    if (child_of.empty()) return std::nullopt;
    return RunLagFollower(child_of, child_events);
  });
  return program.Main(argc, argv, [&](const Setup& setup) { return MeasureAll(setup, amounts); });
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
