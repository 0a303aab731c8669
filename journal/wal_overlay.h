// What the write-ahead log holds beyond LMDB, in memory: the entries of its two
// halves, and a part of them as one reader sees it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "nimbus/schema/mutex.h"
#include "wal_entry.h"

namespace nimbus::journal {

// The entries of one half, each after the one before. Thread-safe: entries are
// only ever added, by one thread at a time, and stay where they are.
class WalSegment {
 public:
  WalSegment();
  WalSegment(const WalSegment&) = delete;
  WalSegment& operator=(const WalSegment&) = delete;

  void Add(std::unique_ptr<const WalEntry> entry);

  // Below a number of entries that the caller learnt after they were added.
  const WalEntry& entry(size_t index) const { return *entries_[index]; }
  size_t size() const { return count_; }  // for the thread that adds

  // The last change of `key` by the entries [from, to); nullopt when none has one.
  std::optional<std::span<const uint8_t>> FindChange(WalTable table, std::span<const uint8_t> key,
                                                     size_t from, size_t to) const;

 private:
  struct Item {
    uint32_t entry = 0;
    uint32_t change = 0;
    uint32_t before = 0;  // index + 1 of the item before it with this hash; 0 when none
  };

  std::unique_ptr<std::unique_ptr<const WalEntry>[]> entries_;
  size_t count_ = 0;
  mutable schema::Mutex mu_;
  std::vector<Item> items_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<uint64_t, uint32_t> last_ ABSL_GUARDED_BY(mu_);  // by hash: index + 1
};

// A range of entries without gaps. Keeps them alive; cheap to copy.
class WalOverlay {
 public:
  WalOverlay() = default;
  // The entries of `older`, then those of `newer`, that end at or before `end`.
  // Records before `wanted` are in them, or in LMDB by now, or not known here.
  WalOverlay(std::shared_ptr<const WalSegment> older, size_t older_count,
             std::shared_ptr<const WalSegment> newer, size_t newer_count, uint64_t end,
             uint64_t wanted);

  // Leaves what continues LMDB, which holds the records before `size`. False when
  // records in between are missing, or some before `wanted`.
  bool Continue(uint64_t size);

  bool empty() const { return count() == 0; }
  size_t count() const { return parts_[0].to - parts_[0].from + parts_[1].to - parts_[1].from; }
  const WalEntry& entry(size_t index) const;
  // Of the last entry; requires one.
  uint64_t end_sequence() const { return entry(count() - 1).end_sequence(); }

  const WalFrame* FindFrame(uint64_t sequence) const;
  std::optional<std::span<const uint8_t>> FindChange(WalTable table,
                                                     std::span<const uint8_t> key) const;

 private:
  struct Part {
    std::shared_ptr<const WalSegment> segment;
    size_t from = 0, to = 0;
  };
  std::array<Part, 2> parts_;
  uint64_t wanted_ = 0;
};

}  // namespace nimbus::journal
