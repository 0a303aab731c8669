// What the calls of the protocol carry and the recorder takes and gives, in both
// directions.
#pragma once

#include "absl/status/statusor.h"
#include "nimbus/replay/recorder.h"
#include "nimbus/schema/json.h"
#include "tools/agent/params.h"

namespace nimbus::tools::agent {

// type, tool, input, idempotent.
absl::StatusOr<replay::StepCall> TakeStepCall(Params& params);

// output, error, state or patch, outcome.
absl::StatusOr<replay::StepResult> TakeStepResult(Params& params);

// outcome; none of its members set when it is left out.
absl::StatusOr<schema::fb::OutcomeT> TakeOutcome(Params& params);

// What an operation, or a step, is called with: the text of a JSON value.
absl::StatusOr<std::string> TakeJsonText(Params& params, std::string_view name,
                                         std::string_view fallback);

schema::Json ToJson(const replay::BegunStep& step);
schema::Json ToJson(const replay::RecordedStep& step);  // number and status

}  // namespace nimbus::tools::agent
