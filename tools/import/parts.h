// How a source's records are cut into the parts that are journaled, one event
// each, so that the events made of them have something near to be stored
// against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "nimbus/schema/event.h"
#include "nimbus/schema/id.h"
#include "tools/import/run.h"
#include "tools/import/source.h"

namespace nimbus::tools::import {

// Whole records of one operation go together up to this size. What is appended
// together is compressed together; smaller parts repeat more of each other.
inline constexpr size_t kPartBytesMax = 512u << 10;
// A record larger than this is cut into pieces of it.
inline constexpr size_t kPieceBytesMax = 1u << 20;

struct Part {
  schema::fb::SourceStoredT payload;
  uint64_t count = 0;  // records that end in it: 0 of a piece that is not the last
  std::string bytes;   // joined by line ends
};

// One thread. Source and run must outlive it.
class PartCutter {
 public:
  // Goes on at byte `offset` of record `next`.
  PartCutter(const Source& source, const Run& run, uint64_t next, size_t offset)
      : source_(source), run_(run), next_(next), offset_(offset) {}

  uint64_t next() const { return next_; }  // first record that is not whole in a part

  // Requires next() to be a record of the source.
  Part Cut();

 private:
  std::optional<schema::Uuid> OperationAt(uint64_t record, uint64_t* end) const;

  const Source& source_;
  const Run& run_;
  uint64_t next_;
  size_t offset_;
};

// The lines that were left out of the source, with their bytes, and the run's
// notes, as JSON; empty when there are neither.
std::string GapsOf(const Source& source, const Run& run);

}  // namespace nimbus::tools::import
