#include "checkpointer.h"

#include <utility>

#include "nimbus/schema/check.h"
#include "sqlite.h"

namespace nimbus::projections {
namespace {

using sqlite::Connection;

absl::Status Checkpoint(const std::string& path) {
  NIMBUS_ASSIGN_OR_RETURN(Connection database,
                          Connection::Open(path, {.mode = Connection::Mode::kReadWrite}));
  NIMBUS_RETURN_IF_ERROR(database.Execute("PRAGMA synchronous = NORMAL"));
  return database.Checkpoint(Connection::CheckpointMode::kPassive).status();
}

}  // namespace

Checkpointer::~Checkpointer() {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

void Checkpointer::Begin(const std::string& path) {
  {
    absl::MutexLock lock(&mu_);
    NIMBUS_CHECK(!path_.has_value());
    path_ = path;
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
}

bool Checkpointer::running() {
  absl::MutexLock lock(&mu_);
  return path_.has_value();
}

void Checkpointer::Wait() {
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !path_.has_value(); };
  absl::MutexLock lock(&mu_, absl::Condition(&idle));
}

absl::Status Checkpointer::TakeStatus() {
  absl::MutexLock lock(&mu_);
  return std::exchange(status_, absl::OkStatus());
}

void Checkpointer::Forget() {
  Wait();
  absl::MutexLock lock(&mu_);
  status_ = absl::OkStatus();
}

void Checkpointer::Run() {
  const auto called = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return path_.has_value() || stopping_;
  };
  for (;;) {
    std::string path;
    {
      absl::MutexLock lock(&mu_, absl::Condition(&called));
      if (!path_.has_value()) return;
      path = *path_;
    }
    absl::Status status = Checkpoint(path);
    absl::MutexLock lock(&mu_);
    status_ = std::move(status);
    path_.reset();
  }
}

}  // namespace nimbus::projections
