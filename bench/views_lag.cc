#include "bench/views_lag.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>

#include "bench/child.h"
#include "bench/wake.h"
#include "nimbus/projections/database.h"
#include "nimbus/schema/status.h"
#include "testing/workload.h"

namespace nimbus::bench {
namespace {

using projections::Database;

constexpr int64_t kWaitMs = 60'000;
constexpr uint64_t kAppendTogether = 10;  // a millisecond's worth
constexpr int64_t kNanosPerSecond = 1'000'000'000;

// Waits again and again until the views hold `until` records.
absl::StatusOr<std::vector<Wake>> FollowViews(Database* database, uint64_t size, uint64_t until) {
  std::vector<Wake> wakes;
  while (size < until) {
    NIMBUS_RETURN_IF_ERROR(database->WaitFor(size, kWaitMs));
    const int64_t at_ns = NowNanos();
    NIMBUS_ASSIGN_OR_RETURN(const projections::ViewsStatus status, database->GetViewsStatus());
    size = status.watermark;
    wakes.push_back({.size = size, .at_ns = at_ns});
  }
  return wakes;
}

// One append after the other, none before its time.
absl::StatusOr<std::vector<Wake>> AppendPaced(journal::Journal* journal, Texts* texts,
                                              const LagOptions& options, uint64_t before) {
  std::vector<Wake> acknowledged;
  std::vector<schema::Event> events;
  const int64_t begin = NowNanos();
  for (uint64_t done = 0; done < options.events; done += kAppendTogether) {
    events.clear();
    for (uint64_t i = before + done; i < before + done + kAppendTogether; ++i) {
      events.push_back(texts->Next(0, i / test::kWorkloadEvents)
                           .Event(i % test::kWorkloadEvents, texts->Sessions().front()));
    }
    const auto due = static_cast<int64_t>(done * kNanosPerSecond / options.events_per_second);
    std::this_thread::sleep_for(std::chrono::nanoseconds(begin + due - NowNanos()));
    NIMBUS_ASSIGN_OR_RETURN(const journal::Appended appended, journal->Append(events));
    acknowledged.push_back({.size = appended.first + appended.count, .at_ns = NowNanos()});
  }
  return acknowledged;
}

double RateOf(const std::vector<Wake>& acknowledged) {
  const Wake &first = acknowledged.front(), &last = acknowledged.back();
  if (last.at_ns == first.at_ns) return 0;
  return static_cast<double>(last.size - first.size) * 1e9 /
         static_cast<double>(last.at_ns - first.at_ns);
}

}  // namespace

absl::Status RunLagFollower(const std::string& store, uint64_t events) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database, Database::Open(store, {}));
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, database->journal().Size());
  NIMBUS_RETURN_IF_ERROR(database->CatchUp(kWaitMs));
  std::puts("ready");
  std::fflush(stdout);
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Wake> wakes,
                          FollowViews(database.get(), size, size + events));
  SayWakes(wakes);
  return absl::OkStatus();
}

absl::StatusOr<Lags> MeasureLag(const std::string& store, Texts* texts, const LagOptions& options,
                                uint64_t events_before) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database, Database::Open(store, {}));
  journal::Journal* const journal = &database->journal();
  if (events_before == 0) {
    NIMBUS_RETURN_IF_ERROR(
        journal->Append(test::SessionStarted(texts->Sessions().front())).status());
  }
  NIMBUS_RETURN_IF_ERROR(database->CatchUp(kWaitMs));
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal->Size());
  std::unique_ptr<Child> child;
  if (options.other_process) {
    NIMBUS_ASSIGN_OR_RETURN(child, Child::Start({"--child-of", store, "--child-events",
                                                 fmt::format("{}", options.events)}));
    NIMBUS_RETURN_IF_ERROR(child->ReadLine().status());
  }
  absl::StatusOr<std::vector<Wake>> wakes;
  std::thread follower([&] {
    wakes =
        child ? HearWakes(child.get()) : FollowViews(database.get(), size, size + options.events);
  });
  const absl::StatusOr<std::vector<Wake>> acknowledged =
      AppendPaced(journal, texts, options, events_before);
  follower.join();
  NIMBUS_RETURN_IF_ERROR(acknowledged.status());
  NIMBUS_RETURN_IF_ERROR(wakes.status());
  if (child) NIMBUS_RETURN_IF_ERROR(child->Wait());
  NIMBUS_ASSIGN_OR_RETURN(std::vector<double> lags_ms, LatenciesMs(*acknowledged, *wakes));
  return Lags{.ms = std::move(lags_ms), .events_per_second = RateOf(*acknowledged)};
}

}  // namespace nimbus::bench
