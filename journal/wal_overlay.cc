#include "wal_overlay.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "nimbus/schema/check.h"

namespace nimbus::journal {
namespace {

constexpr size_t kEntriesMax = kWalHalfBytes / kWalAlignment;

uint64_t HashOf(WalTable table, std::span<const uint8_t> key) {
  return XXH3_64bits_withSeed(key.data(), key.size(), static_cast<uint64_t>(table));
}

// The number of entries, of the first `count`, that end at or before `end`.
size_t CountUpTo(const WalSegment* segment, size_t count, uint64_t end) {
  size_t low = 0;
  while (low < count) {
    const size_t middle = low + (count - low) / 2;
    if (segment->entry(middle).end_sequence() <= end) {
      low = middle + 1;
    } else {
      count = middle;
    }
  }
  return low;
}

}  // namespace

WalSegment::WalSegment()
    : entries_(std::make_unique<std::unique_ptr<const WalEntry>[]>(kEntriesMax)) {}

void WalSegment::Add(std::unique_ptr<const WalEntry> entry) {
  NIMBUS_CHECK(count_ < kEntriesMax);
  const schema::MutexLock lock(&mu_);
  const std::vector<WalChange>& changes = entry->changes();
  for (uint32_t i = 0; i < changes.size(); ++i) {
    uint32_t& last = last_[HashOf(changes[i].table, changes[i].key)];
    items_.push_back({.entry = static_cast<uint32_t>(count_), .change = i, .before = last});
    last = static_cast<uint32_t>(items_.size());
  }
  entries_[count_++] = std::move(entry);
}

std::optional<std::span<const uint8_t>> WalSegment::FindChange(WalTable table,
                                                               std::span<const uint8_t> key,
                                                               size_t from, size_t to) const {
  const schema::MutexLock lock(&mu_);
  const auto it = last_.find(HashOf(table, key));
  for (uint32_t at = it == last_.end() ? 0 : it->second; at != 0;) {
    const Item& item = items_[at - 1];
    if (item.entry < from) break;
    const WalChange& change = entries_[item.entry]->changes()[item.change];
    if (item.entry < to && change.table == table && std::ranges::equal(change.key, key)) {
      return change.value;
    }
    at = item.before;
  }
  return std::nullopt;
}

WalOverlay::WalOverlay(std::shared_ptr<const WalSegment> older, size_t older_count,
                       std::shared_ptr<const WalSegment> newer, size_t newer_count, uint64_t end,
                       uint64_t wanted)
    : wanted_(wanted) {
  if (older != nullptr) older_count = CountUpTo(older.get(), older_count, end);
  if (newer != nullptr) newer_count = CountUpTo(newer.get(), newer_count, end);
  parts_[0] = {.segment = std::move(older), .from = 0, .to = older_count};
  parts_[1] = {.segment = std::move(newer), .from = 0, .to = newer_count};
}

bool WalOverlay::Continue(uint64_t size) {
  for (Part& part : parts_) {
    size_t low = part.from, high = part.to;
    while (low < high) {
      const size_t middle = low + (high - low) / 2;
      if (part.segment->entry(middle).first_sequence() < size) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    part.from = low;
  }
  if (empty()) return size >= wanted_;
  return entry(0).first_sequence() == size && end_sequence() >= wanted_;
}

const WalEntry& WalOverlay::entry(size_t index) const {
  const size_t in_older = parts_[0].to - parts_[0].from;
  if (index < in_older) return parts_[0].segment->entry(parts_[0].from + index);
  return parts_[1].segment->entry(parts_[1].from + index - in_older);
}

const WalFrame* WalOverlay::FindFrame(uint64_t sequence) const {
  size_t low = 0, high = count();  // the first entry that ends after `sequence`
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (entry(middle).end_sequence() <= sequence) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < count() ? entry(low).FindFrame(sequence) : nullptr;
}

std::optional<std::span<const uint8_t>> WalOverlay::FindChange(WalTable table,
                                                               std::span<const uint8_t> key) const {
  for (size_t i = parts_.size(); i-- > 0;) {
    const Part& part = parts_[i];
    if (part.from == part.to) continue;
    if (auto found = part.segment->FindChange(table, key, part.from, part.to)) return found;
  }
  return std::nullopt;
}

}  // namespace nimbus::journal
