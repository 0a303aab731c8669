// Checking a journal while trusting nothing it says about itself.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"

namespace nimbus::journal {

struct Finding {
  uint64_t sequence = 0;
  std::string what;
};

struct VerifyReport {
  uint64_t records = 0;
  uint64_t bodies = 0;
  uint64_t absent = 0;            // bodies in an archive that is not there: not checked
  schema::Digest root{};          // recomputed
  std::vector<Finding> findings;  // what is proven wrong; at most VerifyOptions::findings_max
  bool holds() const { return findings.empty(); }
};

struct VerifyOptions {
  size_t findings_max = 100;
  // Called now and then with (records done, records in all).
  std::function<void(uint64_t, uint64_t)> progress;
};

// Recomputes from the stored bytes: every leaf and tile hash and the root,
// every body commitment, sequences, stream versions, back-links, step numbers,
// and the entity table. Works on a live journal from another process: it checks
// the size it finds at the start. An error is a failure to read, not a finding.
absl::StatusOr<VerifyReport> VerifyJournal(const Journal& journal, const VerifyOptions& options);

}  // namespace nimbus::journal
