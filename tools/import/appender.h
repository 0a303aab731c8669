// Appends one source in batches: gathers events and keeps count of the versions
// of their streams. A part of the source and the events that repeat its text
// follow each other, so that the journal, which compresses what is appended
// together, stores little more than a reference for them.
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

  void Add(schema::Event event);

  // Appends what was gathered if it is a batch's worth; always, if `now`.
  absl::Status Flush(bool now);

  uint64_t events() const { return events_; }
  // The journal refused an append: it has changed since it was read.
  bool refused() const { return refused_; }

 private:
  journal::Journal& journal_;
  const std::atomic<bool>* stop_;
  std::map<schema::Uuid, uint64_t> versions_;
  std::vector<schema::Event> batch_;
  size_t batch_bytes_ = 0;
  uint64_t events_ = 0;
  bool refused_ = false;
};

}  // namespace nimbus::tools::import
