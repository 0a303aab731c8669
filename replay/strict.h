// What a strict replay looks at beside the fold. Private to replay.
#pragma once

#include "absl/status/status.h"
#include "nimbus/replay/session.h"
#include "nimbus/replay/verify.h"

namespace nimbus::replay {

// Reads every record of the stream of report->operation, and its body. Sets the first
// divergence and the first missing body of `report`; leaves both as they are where
// there is none. DataLoss: the stream can't be followed; else as Reader, and Cancelled.
absl::Status CheckRecords(const journal::Journal& journal, const ReplayOptions& options,
                          ReplayReport* report);

// Sets `missing` to the first step, else the operation itself, that has not ended.
absl::Status CheckEnded(Session* session, ReplayReport* report);

// Whether a state of so many bytes should have had a digest.
bool LacksDigest(const Moment& moment, const State& state, const StateOptions& options);

// What is missing, of a read that failed because a body is archived elsewhere.
absl::StatusOr<Missing> MissingBody(const journal::Journal& journal, const absl::Status& status);

// That the record `sequence` is damaged, as `status` says.
Divergence DamagedRecord(const schema::Uuid& operation, uint64_t sequence,
                         const absl::Status& status);

}  // namespace nimbus::replay
