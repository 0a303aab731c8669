// A record with its body, from wherever it was read: what a journal consists of,
// however it is stored.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "archives.h"
#include "body_reader.h"
#include "environment.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/events_generated.h"

namespace nimbus::journal {

// Views; aligned to 8.
struct Entry {
  uint64_t sequence = 0;
  std::span<const uint8_t> record;
  std::optional<EntryBody> body;
  std::optional<uint64_t> archived;  // the number of the archive where its body is instead
};

// The entry's record, once it is found to be one, to have this sequence, and to
// commit to this body. DataLoss names the record and what is wrong with it.
absl::StatusOr<const schema::fb::Record*> CheckEntry(const Entry& entry);

// DataLoss when the rules placed the record elsewhere than it says.
absl::Status CheckPlacement(const schema::fb::Envelope& envelope, const Placement& placement);

// The entries of a journal, in order. One thread.
class EntryReader {
 public:
  enum class Archived {
    kRead,  // a body that is in an archive is read from there
    kKeep,  // it is left there, and the entry says where
  };
  // `journal` outlives it.
  explicit EntryReader(const Journal& journal, Archived archived = Archived::kRead);

  void Seek(uint64_t sequence) {
    reader_.Seek(sequence);
    range_.reset();
    no_more_ranges_ = false;
  }

  // The next entry, not yet checked, valid until the next call. nullopt at the
  // end of the journal. DataLoss when it can't be read, or its body is missing.
  absl::StatusOr<std::optional<Entry>> Next();

 private:
  absl::StatusOr<std::optional<uint64_t>> FindArchive(uint64_t sequence);

  const Environment& environment_;
  const Archived archived_;
  Reader reader_;
  BodyReader bodies_;
  std::optional<ArchivedRange> range_;  // the one that `next` is in, or before
  bool no_more_ranges_ = false;
  std::optional<PlainBody> body_;  // keeps alive what Next returned
};

}  // namespace nimbus::journal
