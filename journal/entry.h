// A record with its body, from wherever it was read: what a journal consists of,
// however it is stored.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "body_reader.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/events_generated.h"

namespace nimbus::journal {

struct EntryBody {
  std::span<const uint8_t> bytes;  // plaintext
  Nonce nonce{};
};

// Views; aligned to 8.
struct Entry {
  uint64_t sequence = 0;
  std::span<const uint8_t> record;
  std::optional<EntryBody> body;
};

// The entry's record, once it is found to be one, to have this sequence, and to
// commit to this body. DataLoss names the record and what is wrong with it.
absl::StatusOr<const schema::fb::Record*> CheckEntry(const Entry& entry);

// DataLoss when the rules placed the record elsewhere than it says.
absl::Status CheckPlacement(const schema::fb::Envelope& envelope, const Placement& placement);

// The entries of a journal, in order. One thread.
class EntryReader {
 public:
  // `journal` outlives it.
  explicit EntryReader(const Journal& journal);

  void Seek(uint64_t sequence) { reader_.Seek(sequence); }

  // The next entry, not yet checked, valid until the next call. nullopt at the
  // end of the journal. DataLoss when it can't be read, or its body is missing.
  absl::StatusOr<std::optional<Entry>> Next();

 private:
  Reader reader_;
  BodyReader bodies_;
  std::optional<PlainBody> body_;  // keeps alive what Next returned
};

}  // namespace nimbus::journal
