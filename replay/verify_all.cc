#include "nimbus/replay/verify_all.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "nimbus/journal/reader.h"
#include "nimbus/schema/mutex.h"
#include "nimbus/schema/status.h"

namespace nimbus::replay {

using schema::Json;
using schema::MutexLock;
using schema::Uuid;
using schema::fb::ReplayVerdict;
using Code = absl::StatusCode;

namespace {

constexpr uint64_t kRecordsPerProgress = 4096;

// Trouble of one operation, that says nothing about the next.
bool IsOfOneOperation(const absl::Status& status) {
  switch (status.code()) {
    case Code::kDataLoss:
    case Code::kResourceExhausted:
    case Code::kInvalidArgument:
      return true;
    default:
      return false;
  }
}

class Verification {
 public:
  Verification(const journal::Journal& journal, const VerifyOptions& options, uint64_t size)
      : journal_(journal), options_(options), size_(size), reader_(journal) {}

  absl::StatusOr<VerifySummary> Run() {
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < Jobs(); ++i) threads.emplace_back([this] { Work(); });
    Work();
    for (std::thread& thread : threads) thread.join();
    const MutexLock lock(&mu_);
    NIMBUS_RETURN_IF_ERROR(status_);
    std::sort(summary_.findings.begin(), summary_.findings.end(),
              [](const VerifyFinding& a, const VerifyFinding& b) { return a.index < b.index; });
    return std::move(summary_);
  }

 private:
  struct Task {
    uint64_t index = 0;
    Uuid operation;
  };

  unsigned Jobs() const {
    const unsigned jobs =
        options_.jobs == 0 ? std::max(1u, std::thread::hardware_concurrency()) : options_.jobs;
    if (options_.operations.empty()) return jobs;
    return static_cast<unsigned>(std::min<uint64_t>(jobs, options_.operations.size()));
  }

  void Work() {
    for (;;) {
      absl::StatusOr<std::optional<Task>> task = Next();
      if (task.ok() && !task->has_value()) return;
      const absl::Status status = task.ok() ? Verify(**task) : task.status();
      if (status.ok()) continue;
      const MutexLock lock(&mu_);
      if (status_.ok()) status_ = status;
      return;
    }
  }

  // The next operation to replay; nullopt when there is none, or another thread failed.
  absl::StatusOr<std::optional<Task>> Next() {
    const MutexLock lock(&mu_);
    if (!status_.ok()) return std::optional<Task>();
    if (IsStopped()) return absl::CancelledError("interrupted");
    if (!options_.operations.empty()) {
      if (next_ == options_.operations.size()) return std::optional<Task>();
      const Task task{.index = next_, .operation = options_.operations[next_]};
      ++next_;
      return std::optional<Task>(task);
    }
    return NextCreated();
  }

  absl::StatusOr<std::optional<Task>> NextCreated() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    while (reader_.position() < size_) {
      NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, reader_.Next());
      if (view == nullptr) break;
      if (view->sequence % kRecordsPerProgress == 0) {
        if (IsStopped()) return absl::CancelledError("interrupted");
        ShowProgress(view->sequence, size_);
      }
      if (view->record->event_type() != schema::fb::Event::OperationCreated) continue;
      const Task task{.index = next_++, .operation = Uuid::FromFb(view->envelope().stream())};
      ShowProgress(view->sequence, size_);
      return std::optional<Task>(task);
    }
    return std::optional<Task>();
  }

  bool IsStopped() const { return options_.replay.stop != nullptr && *options_.replay.stop; }

  void ShowProgress(uint64_t done, uint64_t total) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (options_.progress) options_.progress(done, total);
  }

  absl::Status Verify(const Task& task) {
    ReplayOptions replay = options_.replay;
    replay.progress = nullptr;
    absl::StatusOr<ReplayReport> report = ReplayOperation(journal_, task.operation, {}, replay);
    if (!report.ok() && !IsOfOneOperation(report.status())) return report.status();
    bool receipt = false;
    if (report.ok() && options_.receipts != nullptr) {
      const absl::Status recorded = RecordReceipt(options_.receipts, *report).status();
      receipt = recorded.ok();
      if (!receipt && !absl::IsFailedPrecondition(recorded)) return recorded;
    }
    const MutexLock lock(&mu_);
    if (receipt) ++summary_.receipts;
    Count(task, std::move(report));
    if (!options_.operations.empty()) {
      ShowProgress(summary_.operations, options_.operations.size());
    }
    return absl::OkStatus();
  }

  void Count(const Task& task, absl::StatusOr<ReplayReport> report)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    ++summary_.operations;
    if (!report.ok()) {
      ++summary_.failed;
      VerifyFinding finding{.index = task.index, .report = {}, .error = report.status()};
      finding.report.operation = task.operation;
      return Keep(std::move(finding));
    }
    summary_.steps += report->steps;
    summary_.digests_compared += report->digests_compared;
    summary_.checkpoints_compared += report->checkpoints_compared;
    switch (report->verdict()) {
      case ReplayVerdict::holds:
        ++summary_.holds;
        return;
      case ReplayVerdict::diverges:
        ++summary_.diverges;
        break;
      case ReplayVerdict::incomplete:
        ++summary_.incomplete;
        break;
    }
    Keep({.index = task.index, .report = *std::move(report), .error = absl::OkStatus()});
  }

  // The first in order, whatever the order in which they are found.
  void Keep(VerifyFinding finding) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    std::vector<VerifyFinding>& kept = summary_.findings;
    const auto before = [](const VerifyFinding& a, const VerifyFinding& b) {
      return a.index < b.index;
    };
    kept.push_back(std::move(finding));
    std::push_heap(kept.begin(), kept.end(), before);
    if (kept.size() <= options_.findings_max) return;
    std::pop_heap(kept.begin(), kept.end(), before);
    kept.pop_back();
  }

  const journal::Journal& journal_;
  const VerifyOptions& options_;
  const uint64_t size_;  // of the journal when it began

  schema::Mutex mu_;
  journal::Reader reader_ ABSL_GUARDED_BY(mu_);
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  VerifySummary summary_ ABSL_GUARDED_BY(mu_);
};

Json ToJson(const VerifyFinding& finding) {
  Json json =
      finding.error.ok()
          ? finding.report.ToJson()
          : Json::MakeObject({{"operation", Json::String(finding.report.operation.ToString())},
                              {"holds", Json::Bool(false)},
                              {"verdict", Json::String("failed")}});
  if (finding.error.ok()) return json;
  json.Set("error", Json::String(std::string(finding.error.message().data(),
                                             finding.error.message().size())));
  return json;
}

}  // namespace

Json VerifySummary::ToJson() const {
  Json::Array all;
  for (const VerifyFinding& finding : findings) all.push_back(replay::ToJson(finding));
  return Json::MakeObject({{"operations", Json::Uint(operations)},
                           {"holds", Json::Uint(holds)},
                           {"diverges", Json::Uint(diverges)},
                           {"incomplete", Json::Uint(incomplete)},
                           {"failed", Json::Uint(failed)},
                           {"steps", Json::Uint(steps)},
                           {"digests_compared", Json::Uint(digests_compared)},
                           {"checkpoints_compared", Json::Uint(checkpoints_compared)},
                           {"receipts", Json::Uint(receipts)},
                           {"findings", Json::MakeArray(std::move(all))}});
}

absl::StatusOr<VerifySummary> VerifyOperations(const journal::Journal& journal,
                                               const VerifyOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal.Size());
  return Verification(journal, options, size).Run();
}

}  // namespace nimbus::replay
