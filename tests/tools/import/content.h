// What imports leave in a journal, read back record by record, for comparing:
// two journals that were told the same things have equal contents, in however
// many imports they were told them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/id.h"

namespace nimbus::test {

struct StepContent {
  uint32_t number = 0;
  std::string type, tool, status, input, output, error, outcome;
  bool operator==(const StepContent&) const = default;
};

struct OperationContent {
  std::string session, parent, type, name, input, plan, status, output, error, outcome;
  std::map<std::string, StepContent> steps;
  std::map<std::string, std::string> checkpoints;  // id -> state
  std::string state;                               // folded to the end
  bool operator==(const OperationContent&) const = default;
};

struct SessionContent {
  std::string name, description, context, status;
  bool operator==(const SessionContent&) const = default;
};

struct SourceContent {
  std::string format, key, gaps;
  std::vector<std::string> records;
  bool finished = false;
  bool operator==(const SourceContent&) const = default;
};

struct Content {
  std::map<std::string, SessionContent> sessions;
  std::map<std::string, OperationContent> operations;
  std::map<std::string, SourceContent> sources;
  uint64_t digests = 0;  // states compared with their digest, and found equal
  bool operator==(const Content& other) const {
    return sessions == other.sessions && operations == other.operations && sources == other.sources;
  }
};

// Folds every operation's patches on the way, and compares each digest and each
// checkpoint with the state so far: DataLoss names the record that differs.
absl::StatusOr<Content> ReadContent(const journal::Journal& journal);

// One line per difference, for messages.
std::string Differences(const Content& expected, const Content& actual);

}  // namespace nimbus::test
