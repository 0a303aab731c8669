// One sample of an Inspect log as an operation.
#pragma once

#include "absl/status/statusor.h"
#include "tools/import/document.h"
#include "tools/import/inspect_state.h"
#include "tools/import/run.h"

namespace nimbus::tools::import {

// `model`, `tool`, `input`, `approval` and `score` events become steps, `state`
// and `store` events the state after them; what the sample refers to (its
// attachments and pools of messages) is put in. Notes say where the state that
// the events make is not the one the sample ends with, and what it refers to
// and has not. InvalidArgument names the member that breaks the format;
// ResourceExhausted: a limit of InspectStateLimits.
absl::StatusOr<Operation> ReadInspectSample(const Fields& sample, Notes* notes);

// The sum over the models of a `model_usage`; nothing of an empty one.
absl::StatusOr<Usage> ReadInspectUsage(const Fields& owner);

}  // namespace nimbus::tools::import
