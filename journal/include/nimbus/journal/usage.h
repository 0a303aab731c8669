// Where the bytes of a store are.
//
//   NIMBUS_ASSIGN_OR_RETURN(const Usage usage, MeasureUsage(*journal, {.top = 10}));
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/range.h"
#include "nimbus/schema/events_generated.h"

namespace nimbus::journal {

// Bodies, and their share of the blocks they are stored in.
struct BodyUsage {
  schema::fb::Event event = schema::fb::Event::NONE;
  uint64_t bodies = 0;
  uint64_t plain_bytes = 0;
  uint64_t stored_bytes = 0;
};

struct StreamUsage {
  schema::Uuid id;
  uint64_t bodies = 0;
  uint64_t plain_bytes = 0;
  uint64_t stored_bytes = 0;
  uint64_t excess_max = 0;  // stored_bytes may be too much by this; 0: all three are exact
};

struct Usage {
  uint64_t records = 0;
  uint64_t bodies = 0;
  uint64_t record_bytes = 0;         // plain
  uint64_t body_bytes = 0;           // plain
  uint64_t stored_record_bytes = 0;  // of record frames
  uint64_t stored_body_bytes = 0;    // of body frames, and of blocks in the chunks table

  // Of data.mdb, in whole pages.
  uint64_t file_bytes = 0;
  uint64_t frame_page_bytes = 0, chunk_page_bytes = 0, tile_page_bytes = 0, entity_page_bytes = 0;
  uint64_t free_bytes = 0;  // pages that LMDB uses again

  // Of the other files of the store.
  uint64_t log_bytes = 0;      // of the live generation: write-ahead log
  uint64_t view_bytes = 0;     // SQLite's files
  uint64_t archive_bytes = 0;  // pruned bodies
  uint64_t other_bytes = 0;    // locks, older generations

  std::vector<BodyUsage> events;        // those there are, largest first
  std::vector<StreamUsage> operations;  // the largest, by stored bytes
  std::vector<StreamUsage> sessions;    // of their operations and themselves

  // How much smaller compaction would make data.mdb: an estimate, from packing
  // stretches of the journal anew.
  uint64_t reclaimable_bytes = 0;
};

struct UsageOptions {
  size_t top = 10;            // operations, and sessions
  ProgressFunction progress;  // in records
};

// Reads all frames, decodes bodies of a sample only. Memory is bounded: the
// streams of which most is stored are found with Space-Saving (Metwally, Agrawal
// and El Abbadi 2005) of 4096 counters; up to that many streams it is exact.
absl::StatusOr<Usage> MeasureUsage(const Journal& journal, const UsageOptions& options);

}  // namespace nimbus::journal
