// Reading the journal: forward by sequence, or one stream by its back-links.
//
//   Reader reader(*journal);
//   for (reader.Seek(0);;) {
//     NIMBUS_ASSIGN_OR_RETURN(const RecordView* record, reader.Next());
//     if (record == nullptr) break;                       // no more yet
//     NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, reader.Body(*record));
//   }
//
// Holds no LMDB transaction between calls, so a slow reader never makes the
// journal grow. Memory: one frame and the body cache. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/events_generated.h"

namespace nimbus::journal {

// A verified record. Valid until the next call on its Reader other than Body.
struct RecordView {
  uint64_t sequence = 0;
  std::span<const uint8_t> bytes;  // as stored; the Merkle leaf
  const schema::fb::Record* record = nullptr;

  const schema::fb::Envelope& envelope() const { return *record->envelope(); }
};

struct ReaderOptions {
  size_t body_cache_bytes_max = 16u << 20;  // plaintext kept to decode others against
  // Whether Next has the disk read bodies, too, before the first of them is asked for.
  bool read_ahead_bodies = false;
};

class Reader {
 public:
  explicit Reader(const Journal& journal, const ReaderOptions& options = {});
  ~Reader();
  Reader(Reader&&) noexcept;

  // Next() will return record `sequence`, or nullptr until it exists.
  void Seek(uint64_t sequence);
  uint64_t position() const;

  // The next record, or nullptr at the end of the journal. DataLoss names the
  // sequence where the journal is damaged.
  absl::StatusOr<const RecordView*> Next();

  // The record `sequence`. OutOfRange beyond the end. Does not move Next().
  absl::StatusOr<const RecordView*> Read(uint64_t sequence);

  // The decoded, checked body of `record`; nullptr when it has none. Valid until
  // the next call of Body. DataLoss when it is missing, or does not match the
  // record's commitment.
  absl::StatusOr<const schema::fb::Body*> Body(const RecordView& record);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nimbus::journal
