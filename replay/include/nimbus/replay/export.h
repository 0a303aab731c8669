// One operation as readable JSON: what was recorded, step by step, nothing left out.
//
//   const auto write = [&](std::string_view text) -> absl::Status { out << text; … };
//   NIMBUS_RETURN_IF_ERROR(ExportOperation(*journal, id, {.lines = true}, write));
//
// As a document: {"operation":{…},"steps":[…],"checkpoints":[…]}, a step or checkpoint
// a line. As lines: one object a line, each with a "record" that says what it is:
// "operation" first, then "step" and "checkpoint" in the order in which they were
// journaled. JSON that was recorded stands in it as it is, digit for digit.
//
// Memory: that of a Session and the largest step or checkpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/session.h"

namespace nimbus::replay {

struct ExportOptions {
  SessionOptions session;
  bool lines = false;               // else one document
  uint32_t from_step = 1;           // the first step to export, with its checkpoints;
  std::optional<uint32_t> to_step;  // the last; that of the operation when unset
};

using ExportSink = std::function<absl::Status(std::string_view)>;

// NotFound: there is no such operation, or no such step. InvalidArgument: `to_step`
// comes before `from_step`. FailedPrecondition with journal::IsArchiveAbsent: a body
// is archived elsewhere; what was given to `sink` by then is not complete. Else what
// `sink` returns.
absl::Status ExportOperation(const journal::Journal& journal, const schema::Uuid& operation,
                             const ExportOptions& options, const ExportSink& sink);

}  // namespace nimbus::replay
