// What the journal already holds of a source, and of the operations it tells
// of, read back so that an import can go on where an earlier one stopped.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/state.h"
#include "nimbus/schema/id.h"

namespace nimbus::tools::import {

struct StoredSource {
  bool exists = false;
  bool finished = false;  // the last import of it came to its end
  uint64_t version = 0;   // of its stream
  uint64_t records = 0;
  std::string partial;  // of record `records`, if that is not there whole
  std::string format, key;
  std::string gaps;                      // context of the last ImportFinished
  std::vector<schema::Uuid> operations;  // that its parts are about, each once
};

// Called with each record, in order; the text is valid during the call.
using RecordSink = std::function<absl::Status(uint64_t index, std::string_view text)>;

// A source that is not there is one without records. DataLoss when the stored
// parts are not what an importer writes. `sink` may be null.
absl::StatusOr<StoredSource> ReadStoredSource(const journal::Journal& journal,
                                              const schema::Uuid& source, const RecordSink& sink);

struct StoredSession {
  uint64_t version = 0;  // 0: not there
  bool ended = false;
  std::string name, description, context;
};

absl::StatusOr<StoredSession> ReadStoredSession(const journal::Journal& journal,
                                                const schema::Uuid& session);

struct StoredStep {
  journal::Lifecycle status = journal::Lifecycle::kPending;
  schema::Digest input{};  // digest of its text
};

struct StoredOperation {
  uint64_t version = 0;  // 0: not there
  journal::Lifecycle status = journal::Lifecycle::kPending;
  bool planned = false;
  std::map<schema::Uuid, StoredStep> steps;
  std::optional<replay::State> state;  // from its start on, folded; not of a final operation
};

// Of an operation that is final, only version and status.
absl::StatusOr<StoredOperation> ReadStoredOperation(const journal::Journal& journal,
                                                    const schema::Uuid& operation);

}  // namespace nimbus::tools::import
