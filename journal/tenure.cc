#include "tenure.h"

#include <utility>

#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

constexpr std::chrono::seconds kShared{1};

}  // namespace

absl::StatusOr<std::unique_ptr<Tenure>> Tenure::Open(const Environment& environment) {
  std::unique_ptr<Tenure> tenure(new Tenure(environment));
  NIMBUS_RETURN_IF_ERROR(tenure->OpenFiles());
  return tenure;
}

absl::Status Tenure::OpenFiles() {
  const std::shared_ptr<const Generation> live = environment_.generation();
  if (generation_ == live->number) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(turn_, LockFile::Open(live->directory + "/turn.lock"));
  NIMBUS_ASSIGN_OR_RETURN(writer_, LockFile::Open(live->directory + "/writer.lock"));
  generation_ = live->number;
  return absl::OkStatus();
}

// With the lock: whoever puts another generation in place of one has its lock.
absl::StatusOr<bool> Tenure::IsOfLiveGeneration() {
  NIMBUS_RETURN_IF_ERROR(environment_.Follow());
  return environment_.generation()->number == generation_;
}

Tenure::~Tenure() {
  if (held()) End();
}

absl::Status Tenure::Take() {
  while (!held()) {
    NIMBUS_RETURN_IF_ERROR(OpenFiles());
    {
      NIMBUS_ASSIGN_OR_RETURN(const FileLock turn, FileLock::Take(turn_.get()));
      NIMBUS_RETURN_IF_ERROR(writer_->Lock());
    }
    const absl::StatusOr<bool> live = IsOfLiveGeneration();
    if (live.ok() && *live) return Begin();
    writer_->Unlock();
    NIMBUS_RETURN_IF_ERROR(live.status());
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Tenure::TryTake() {
  if (held()) return true;
  NIMBUS_RETURN_IF_ERROR(OpenFiles());
  NIMBUS_ASSIGN_OR_RETURN(const bool locked, writer_->TryLock());
  if (!locked) return false;
  const absl::StatusOr<bool> live = IsOfLiveGeneration();
  if (live.ok() && *live) {
    NIMBUS_RETURN_IF_ERROR(Begin());
    return true;
  }
  writer_->Unlock();
  NIMBUS_RETURN_IF_ERROR(live.status());
  return TryTake();
}

// With the lock.
absl::Status Tenure::Begin() {
  const absl::Status status = TakeIn();
  status.ok() ? held_.store(true, std::memory_order_release) : writer_->Unlock();
  return status;
}

absl::Status Tenure::TakeIn() {
  NIMBUS_RETURN_IF_ERROR(environment_.wal()->Create());
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_.BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(const Head head, environment_.ReadHead(txn));
  NIMBUS_ASSIGN_OR_RETURN(const bool others, environment_.wal()->BeginTenure(head.link()));
  if (others) shared_until_ = std::chrono::steady_clock::now() + kShared;
  return absl::OkStatus();
}

bool Tenure::IsWanted() {
  const absl::StatusOr<bool> free = turn_->TryLock();
  if (!free.ok()) return false;
  if (*free) turn_->Unlock();
  return !*free;
}

void Tenure::End() {
  held_.store(false, std::memory_order_release);
  environment_.wal()->EndTenure();
  writer_->Unlock();
}

}  // namespace nimbus::journal
