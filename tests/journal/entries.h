// Entries of the log, to test it with. Their records are no events.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "frame.h"
#include "nimbus/schema/id.h"
#include "wal.h"
#include "wal_entry.h"

namespace nimbus::journal {

struct EntrySpec {
  WalLink begin;
  uint32_t records = 1;
  size_t body_bytes = 0;  // after the records of each frame, as a body frame would be
  size_t frames = 1;
  uint64_t durable_before = 0;
  uint64_t salt = 0;                                   // of the tenure
  uint64_t text = 0;                                   // makes its bodies others
  std::vector<std::pair<Bytes, Bytes>> entities = {};  // keys and values
  std::vector<std::pair<Bytes, Bytes>> names = {};
};

// A body that tells entries apart: the same for the same sequence.
inline Bytes BodyOf(uint64_t sequence, size_t size) {
  Bytes bytes(size);
  uint64_t x = sequence;
  for (uint8_t& byte : bytes) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<uint8_t>(x >> 56);
  }
  return bytes;
}

// Each of its frames holds `records` / `frames` records, the last one the rest.
inline std::unique_ptr<const WalEntry> MakeEntry(const schema::Uuid& journal,
                                                 const EntrySpec& spec) {
  std::vector<Bytes> values;
  uint64_t next = spec.begin.sequence;
  const uint64_t end = next + spec.records;
  for (size_t i = 0; i < spec.frames; ++i) {
    FrameBuilder builder(journal, next, 0);
    const uint64_t until = i + 1 == spec.frames ? end : next + spec.records / spec.frames;
    for (; next < until; ++next) builder.Add(BodyOf(next, 24 + next % 7));
    Bytes value = builder.FinishRaw().bytes;
    const Bytes body = BodyOf(next + (spec.text << 32), spec.body_bytes);
    value.insert(value.end(), body.begin(), body.end());
    values.push_back(std::move(value));
  }
  std::vector<WalFrame> frames;
  for (const Bytes& value : values) frames.push_back({.value = value});
  std::vector<WalChange> changes;
  for (const auto& [key, value] : spec.entities) {
    changes.push_back({.table = WalTable::kEntities, .key = key, .value = value});
  }
  for (const auto& [key, value] : spec.names) {
    changes.push_back({.table = WalTable::kNames, .key = key, .value = value});
  }
  return WalEntry::Make({.journal = journal,
                         .first_sequence = spec.begin.sequence,
                         .records = spec.records,
                         .durable_before = spec.durable_before,
                         .salt = spec.salt,
                         .previous = spec.begin.checksum,
                         .frames = frames,
                         .changes = changes});
}

inline WalLink EndOf(const WalEntry& entry) {
  return {.sequence = entry.end_sequence(), .checksum = entry.header().checksum};
}

}  // namespace nimbus::journal
