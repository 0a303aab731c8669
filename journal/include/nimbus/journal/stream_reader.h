// Reading one stream, forward, backward, and from anywhere, however long it is.
//
//   NIMBUS_ASSIGN_OR_RETURN(StreamReader stream,
//                           StreamReader::Open(*journal, EntityKind::operation, id));
//   NIMBUS_RETURN_IF_ERROR(stream.Seek(1));
//   for (;;) {
//     NIMBUS_ASSIGN_OR_RETURN(const RecordView* record, stream.Next());
//     if (record == nullptr) break;
//     … stream.Body(*record) …
//   }
//
// It sees the stream as it was at Open. To go anywhere in an operation's stream
// reads some hundred records at most, by marks that the journal keeps of every
// 64th one. Streams of other kinds, what a program without marks has written, and
// what is only in the write-ahead log have none: there it reads back from the next
// known place, once, and remembers every 64th record.
//
// Memory: 64 sequences and what Reader takes; without marks a sequence for each 64
// records beside. Reads nothing else and writes nothing. One thread at a time; the
// journal must outlive it.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/reader.h"

namespace nimbus::journal {

class StreamReader {
 public:
  // Before the first record. NotFound: the journal has no such entity, or it has no
  // stream of its own (a step).
  static absl::StatusOr<StreamReader> Open(const Journal& journal, schema::fb::EntityKind kind,
                                           const schema::Uuid& id,
                                           const ReaderOptions& options = {});
  ~StreamReader();
  StreamReader(StreamReader&&) noexcept;
  StreamReader& operator=(StreamReader&&) noexcept;

  // The entity as it was at Open: its version is the number of records.
  const EntityState& entity() const;
  uint64_t version() const { return entity().version; }

  // All of these: DataLoss when a record is not there, is damaged, or is not the
  // one that the stream's links or marks say it is. A record is valid until the
  // next call other than Body.

  // Next will give the record of this version: 1 to version() + 1, else OutOfRange.
  absl::Status Seek(uint64_t version);
  uint64_t position() const;  // the version that Next will give

  // The next record, nullptr at the end; the one before it, nullptr at the beginning.
  absl::StatusOr<const RecordView*> Next();
  absl::StatusOr<const RecordView*> Previous();

  // Without moving: the record of this version (OutOfRange: there is none) or
  // sequence (DataLoss: it is not of this stream), and the one that adds the
  // operation's step of this number (NotFound: there is none).
  absl::StatusOr<const RecordView*> Read(uint64_t version);
  absl::StatusOr<const RecordView*> ReadAt(uint64_t sequence);
  absl::StatusOr<const RecordView*> ReadStepAdded(uint32_t number);

  // As Reader::Body.
  absl::StatusOr<const schema::fb::Body*> Body(const RecordView& record);

 private:
  class Impl;
  explicit StreamReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nimbus::journal
