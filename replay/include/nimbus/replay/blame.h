// Which step made a value what it is.
//
//   NIMBUS_ASSIGN_OR_RETURN(const BlameReport report,
//                           BlameValue(*journal, id, "/messages/3/content", {}));
//   report.changes.front().step, report.changes.front().before, report.changes.front().after
//
// A value is followed back through the recorded patches, from the point where it is
// looked at until it was last set: through the shifts of array items that insertions
// and removals before it make (RFC 6902), and through moves. So the place it had
// before may be another one, and that of a fork in its parent. A step that sets what is there
// already, or a part of it, to an equal value changes nothing.
//
// Costs the patches since the last change: the operation is folded from checkpoint to
// checkpoint, the last stretch first. Checkpoints alone can't tell: a value that is
// the same at two of them may have changed between them, and back. Memory: two states
// and what the patches of one stretch say of the value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/point.h"
#include "nimbus/replay/session.h"

namespace nimbus::replay {

struct BlameOptions {
  SessionOptions session;
  Point at;                     // where the value is looked at; the end by default
  bool history = false;         // all changes, not the last one only
  size_t changes_max = 10'000;  // of the history
};

// A step that changed the value, or the start, which brought it.
struct ValueChange {
  schema::Uuid operation;  // the one asked for, or one that it was forked from
  uint32_t step = 0;       // 0: the start
  uint64_t sequence = 0;
  std::optional<schema::Uuid> step_id;
  std::string pointer;                        // where the value is after it
  std::optional<std::string> pointer_before;  // where it was; unset when it did not exist
  std::optional<schema::Json> before, after;  // unset: there was, or is, none
};

struct BlameReport {
  schema::Uuid operation;
  std::string pointer;
  uint32_t step = 0;                  // where it was looked at: after this step
  std::optional<schema::Json> value;  // there; unset: it was removed, by the first change
  std::vector<ValueChange> changes;   // the last first; never empty
  bool truncated = false;             // the history has more than changes_max

  schema::Json ToJson() const;
};

// InvalidArgument: `pointer` is none. NotFound: no such operation or point, or there is
// no such value there and nothing that removed it. DataLoss: a patch on the way does
// not apply. Else as Session.
absl::StatusOr<BlameReport> BlameValue(const journal::Journal& journal,
                                       const schema::Uuid& operation, std::string_view pointer,
                                       const BlameOptions& options);

}  // namespace nimbus::replay
