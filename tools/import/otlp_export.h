// Sessions and operations as OTLP/JSON traces with the OpenTelemetry GenAI
// conventions: one span per operation, model call and tool call. Inputs of
// people and verifications are events of the operation's span, the latter as
// the conventions have evaluations.
//
// A trace is an operation with those it started. Ids are parts of the journal's;
// times that are not known are left out. What was said, asked and answered is
// left out as well unless the caller wants it: the conventions make it opt-in.
// Of the messages to a model, what is new since the call before is there.
#pragma once

#include "nimbus/schema/json.h"
#include "tools/import/run.h"

namespace nimbus::tools::import {

struct OtlpOptions {
  bool content = false;  // messages, arguments and results of tools, texts of errors
};

// `session` as ReadJournaledSession gives it. One {"resourceSpans":[…]}.
schema::Json WriteOtlp(const Session& session, const OtlpOptions& options);

}  // namespace nimbus::tools::import
