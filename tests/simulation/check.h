// The judge of an image: is it a journal that keeps what was promised?
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/schema/digest.h"
#include "simulation/claims.h"

namespace nimbus::simulation {

// The digest of every record of the journal that no power cut hit. What is left
// of it after one is a prefix.
using Records = std::vector<schema::Digest>;

// Reads the whole journal in `store`, and finds in it what was acknowledged: each
// update of a session in its place, with the text it was given. Otherwise DataLoss.
absl::StatusOr<Records> ReadRecords(const std::string& store, const Claims& claims);

// Opens `store` for reading, then for writing, appends, and opens it again. Each
// time it must hold as VerifyJournal says, be a prefix of `written` with its
// bodies, and have what is needed. The error says what is wrong.
absl::Status CheckStore(const std::string& store, const Needed& needed, const Records& written);

}  // namespace nimbus::simulation
