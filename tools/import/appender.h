// Appends one source in batches: gathers events, keeps count of the versions of
// their streams, and says for each which stored part of the source it repeats,
// so that the journal stores little more than a reference to it.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/event.h"
#include "tools/import/stored.h"

namespace nimbus::tools::import {

// One thread.
class Appender {
 public:
  // `stop`, if not null, ends the work with Cancelled before the next append.
  Appender(journal::Journal& journal, const std::atomic<bool>* stop)
      : journal_(journal), stop_(stop) {}

  // A stream's version as the caller has read it. Nothing is appended if
  // another writer has changed it since: Aborted.
  void SetVersion(const schema::Uuid& stream, uint64_t version) { versions_[stream] = version; }

  // Where parts of the source are, in the order of their records.
  void AddStoredParts(const std::vector<StoredPart>& parts);

  // A SourceStored for `records` records from `first`, none for a piece of one.
  void AddPart(schema::Event event, uint64_t first, uint64_t records);

  // An event that repeats text of `record`; of a record stored in pieces, the
  // one that is `share` (0 to 1) of the way through.
  void Add(schema::Event event, uint64_t record, double share);
  // One that repeats earlier bodies of its kind, or nothing.
  void Add(schema::Event event);

  // Appends what was gathered if it is a batch's worth; always, if `now`.
  absl::Status Flush(bool now);

  uint64_t events() const { return events_; }
  // The journal refused an append: it has changed since it was read.
  bool refused() const { return refused_; }

 private:
  struct Part {
    uint64_t first, end;
    bool appended;
    uint64_t at;  // sequence, or index in the batch
  };

  void Push(schema::Event event, journal::BodyBase base);

  journal::Journal& journal_;
  const std::atomic<bool>* stop_;
  std::map<schema::Uuid, uint64_t> versions_;
  std::vector<Part> parts_;
  std::vector<journal::Entry> batch_;
  size_t batch_bytes_ = 0;
  uint64_t events_ = 0;
  bool refused_ = false;
};

}  // namespace nimbus::tools::import
