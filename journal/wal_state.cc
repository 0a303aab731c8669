#include "wal_state.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "file_lock.h"
#include "futex.h"
#include "nimbus/schema/status.h"
#include "store.h"

namespace nimbus::journal {
namespace {

constexpr uint32_t kMagic = 0x53574d4e;  // "NMWS"
constexpr uint32_t kVersion = 1;
constexpr size_t kBytes = 4096;

// The descriptor is needed only until the file is mapped.
absl::Status Prepare(int file, const std::string& path) {
  struct stat info;
  if (fstat(file, &info) != 0) return StatusOfErrno(errno, path);
  if (info.st_size >= static_cast<off_t>(kBytes)) return absl::OkStatus();
  // Its block must exist before it is touched: a full disk would be a SIGBUS.
  const int error = posix_fallocate(file, 0, kBytes);
  return error == 0 ? absl::OkStatus() : StatusOfErrno(error, path);
}

}  // namespace

absl::StatusOr<std::unique_ptr<WalState>> WalState::Open(const std::string& directory,
                                                         const schema::Uuid& journal,
                                                         bool read_only) {
  const std::string path = directory + "/wal.state";
  // Of several writers that open it, one makes it: what the others have said since
  // must stay.
  std::unique_ptr<LockFile> file_lock;
  std::optional<FileLock> lock;
  if (!read_only) {
    NIMBUS_ASSIGN_OR_RETURN(file_lock, LockFile::Open(path));
    NIMBUS_ASSIGN_OR_RETURN(FileLock locked, FileLock::Take(file_lock.get()));
    lock.emplace(std::move(locked));
  }
  int file = open(path.c_str(), (read_only ? O_RDWR : O_RDWR | O_CREAT) | O_CLOEXEC, 0644);
  const bool writable = file >= 0;  // a reader wakes the waits of its own process by it
  if (file < 0 && read_only) file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (read_only) return std::unique_ptr<WalState>();
    return StatusOfErrno(errno, path);
  }
  absl::Status status;
  struct stat info;
  if (!read_only) status = Prepare(file, path);
  if (status.ok() && fstat(file, &info) != 0) status = StatusOfErrno(errno, path);
  void* mapped = MAP_FAILED;
  if (status.ok() && info.st_size >= static_cast<off_t>(kBytes)) {
    mapped =
        mmap(nullptr, kBytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) status = StatusOfErrno(errno, path);
  }
  close(file);
  NIMBUS_RETURN_IF_ERROR(status);
  if (mapped == MAP_FAILED) return std::unique_ptr<WalState>();
  std::unique_ptr<WalState> state(new WalState(static_cast<Mapped*>(mapped), writable));
  Mapped& m = *state->mapped_;
  const bool ours = m.magic == kMagic && m.version == kVersion &&
                    std::memcmp(m.journal, journal.bytes.data(), sizeof(m.journal)) == 0;
  if (ours) return state;
  if (read_only) return std::unique_ptr<WalState>();
  std::memcpy(m.journal, journal.bytes.data(), sizeof(m.journal));
  m.durable.store(0);
  m.version = kVersion;
  std::atomic_thread_fence(std::memory_order_release);
  m.magic = kMagic;
  return state;
}

WalState::~WalState() { munmap(mapped_, kBytes); }

void WalState::SetDurable(uint64_t sequence) {
  if (sequence > durable()) mapped_->durable.store(sequence, std::memory_order_release);
  Wake();
}

void WalState::Wake() {
  if (!writable_) return;
  mapped_->ticket.fetch_add(1, std::memory_order_acq_rel);
  FutexWakeAll(&mapped_->ticket, FutexScope::kMachine);
}

void WalState::Wait(uint32_t ticket, int64_t timeout_ms) const {
  constexpr int64_t kLongMs = 3'600'000, kUnwakeableMs = 100;
  const int64_t wait_ms = std::min(timeout_ms, writable_ ? kLongMs : kUnwakeableMs);
  FutexWait(mapped_->ticket, ticket, wait_ms * 1'000'000, FutexScope::kMachine);
}

}  // namespace nimbus::journal
