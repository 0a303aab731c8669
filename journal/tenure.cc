#include "tenure.h"

#include <utility>

#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

constexpr std::chrono::seconds kShared{1};

}  // namespace

absl::StatusOr<std::unique_ptr<Tenure>> Tenure::Open(const Environment& environment) {
  NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<LockFile> turn,
                          LockFile::Open(environment.directory() + "/turn.lock"));
  NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<LockFile> writer,
                          LockFile::Open(environment.directory() + "/writer.lock"));
  return std::unique_ptr<Tenure>(new Tenure(environment, std::move(turn), std::move(writer)));
}

Tenure::~Tenure() {
  if (held()) End();
}

absl::Status Tenure::Take() {
  if (held()) return absl::OkStatus();
  {
    NIMBUS_ASSIGN_OR_RETURN(const FileLock turn, FileLock::Take(turn_.get()));
    NIMBUS_RETURN_IF_ERROR(writer_->Lock());
  }
  return Begin();
}

absl::StatusOr<bool> Tenure::TryTake() {
  if (held()) return true;
  NIMBUS_ASSIGN_OR_RETURN(const bool locked, writer_->TryLock());
  if (!locked) return false;
  NIMBUS_RETURN_IF_ERROR(Begin());
  return true;
}

// With the lock.
absl::Status Tenure::Begin() {
  const absl::Status status = TakeIn();
  status.ok() ? held_.store(true, std::memory_order_release) : writer_->Unlock();
  return status;
}

absl::Status Tenure::TakeIn() {
  NIMBUS_RETURN_IF_ERROR(environment_.wal().Create());
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_.BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(const Head head, environment_.ReadHead(txn));
  NIMBUS_ASSIGN_OR_RETURN(const bool others, environment_.wal().BeginTenure(head.link()));
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
  environment_.wal().EndTenure();
  writer_->Unlock();
}

}  // namespace nimbus::journal
