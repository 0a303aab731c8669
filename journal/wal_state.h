// The file wal.state, mapped by every process that has the journal open: how far
// the write-ahead log is on stable storage, and the word followers sleep on.
//
// It is never synced. What it says was true when it was written and stays true,
// so that after a power cut an old state is merely late.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/schema/id.h"

namespace nimbus::journal {

// Thread-safe, and safe between processes.
class WalState {
 public:
  // A writer makes the file where it is missing or of another journal. A reader
  // gets nullptr then, and where it may not read it.
  static absl::StatusOr<std::unique_ptr<WalState>> Open(const std::string& directory,
                                                        const schema::Uuid& journal,
                                                        bool read_only);
  ~WalState();
  WalState(const WalState&) = delete;
  WalState& operator=(const WalState&) = delete;

  // Records below are on stable storage, in the log or in LMDB.
  uint64_t durable() const { return mapped_->durable.load(std::memory_order_acquire); }
  // Raises it, and wakes all followers.
  void SetDurable(uint64_t sequence);

  // Counts the times that another process than before has begun to write.
  uint64_t tenure() const { return mapped_->tenure.load(std::memory_order_acquire); }
  uint64_t BeginTenure() { return mapped_->tenure.fetch_add(1, std::memory_order_acq_rel) + 1; }

  // Waits until SetDurable or Wake was called since `ticket` was taken, by any
  // process, or `timeout_ms` passed, or for no reason.
  uint32_t ticket() const { return mapped_->ticket.load(std::memory_order_acquire); }
  void Wait(uint32_t ticket, int64_t timeout_ms) const;
  void Wake();  // of no effect where the file may not be written

 private:
  struct Mapped {
    uint32_t magic;
    uint32_t version;
    uint8_t journal[16];
    std::atomic<uint64_t> durable;
    std::atomic<uint64_t> tenure;
    std::atomic<uint32_t> ticket;
  };
  static_assert(std::atomic<uint64_t>::is_always_lock_free);

  WalState(Mapped* mapped, bool writable) : mapped_(mapped), writable_(writable) {}
  Mapped* const mapped_;
  const bool writable_;
};

}  // namespace nimbus::journal
