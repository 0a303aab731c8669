// What replay asks of one operation's records beside its state. Private to replay.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/reader.h"
#include "nimbus/journal/stream_reader.h"
#include "nimbus/replay/session.h"

namespace nimbus::replay {

// Session::FindStep, and FailedPrecondition when it has not ended.
absl::StatusOr<StepInfo> FindEndedStep(Session* session, uint32_t number);

// Numbers of the steps that ended, in the order they did. Reads all of the stream.
absl::StatusOr<std::vector<uint32_t>> EndedSteps(Session* session);

// The operation's records from the last to the first, until `visit` returns false.
// DataLoss when they are damaged.
absl::Status WalkBack(journal::StreamReader* stream,
                      const std::function<absl::StatusOr<bool>(const journal::RecordView&)>& visit);

// Whether it is the end of a step.
bool IsStepEnd(const schema::fb::Record& record);

// The step that an event is about; nullptr when it is about none.
const schema::fb::Id* StepIdOf(const schema::fb::Record& record);

// What a step or an operation took; nullptr when the event does not tell.
const schema::fb::Outcome* OutcomeOf(const schema::fb::Record& record);

// What a step took, or one of its attempts that failed; nullptr of any other event.
const schema::fb::Outcome* StepOutcomeOf(const schema::fb::Record& record);

// The number of the step that the record tells of; 0 when it tells of none.
absl::StatusOr<uint32_t> StepNumberOf(const journal::Journal& journal,
                                      const schema::fb::Record& record);
absl::StatusOr<uint32_t> StepNumberAt(const journal::Journal& journal, uint64_t sequence);

}  // namespace nimbus::replay
