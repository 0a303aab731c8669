// Where the records of a long operation are: every 64th record of its stream and
// every 64th step, by sequence. Derived from records as these come into LMDB, so
// the log has none, and none is needed: it is short. A journal that an older
// program wrote may lack some, so a reader goes from the next mark, or the head,
// back along the links (nimbus/journal/stream_reader.h). Layout: FORMAT.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lmdb_env.h"
#include "nimbus/schema/events_generated.h"
#include "nimbus/schema/id.h"

namespace nimbus::journal {

inline constexpr uint64_t kStreamMarkEvery = 64;

struct StreamMark {
  enum class Of : uint8_t { kVersion = 0, kStep = 1 };
  schema::Uuid operation;
  Of of = Of::kVersion;
  uint64_t number = 0;  // the version, or that of the step
  uint64_t sequence = 0;
};

// The marks of a record with this envelope: none as a rule, two at most.
struct StreamMarks {
  explicit StreamMarks(const schema::fb::Envelope& envelope);
  std::optional<StreamMark> version, step;
};

// The envelope of record bytes that nobody verified; nullptr when there is none.
const schema::fb::Envelope* FindEnvelope(std::span<const uint8_t> record);

absl::Status PutStreamMarks(lmdb::Transaction* txn, lmdb::Table meta,
                            const schema::fb::Envelope& envelope);

// The first mark of this kind at or after `number`; nullopt when there is none.
absl::StatusOr<std::optional<StreamMark>> FindStreamMark(const lmdb::Transaction& txn,
                                                         lmdb::Table meta,
                                                         const schema::Uuid& operation,
                                                         StreamMark::Of of, uint64_t number);

// Compares what is stored of the marks with the records, one after the other.
class StreamMarkCheck {
 public:
  // Whether the marks of the next record, as far as they are stored, name it.
  absl::StatusOr<bool> Holds(const lmdb::Transaction& txn, lmdb::Table meta,
                             const schema::fb::Envelope& envelope);
  // After all records of `txn`: whether each mark was one of theirs.
  absl::StatusOr<bool> HoldsInAll(const lmdb::Transaction& txn, lmdb::Table meta) const;

 private:
  uint64_t found_ = 0;
};

}  // namespace nimbus::journal
