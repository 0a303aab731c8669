// What a span says of work with a model, in the words of the OpenTelemetry
// GenAI conventions, of the releases before them that are still in use, and of
// OpenInference, OpenLLMetry, Google's ADK and any-agent.
//
//   if (RoleOf(span) == SpanRole::kModel) step.usage = *ReadSpanUsage(span);
//
// Attributes that hold JSON as a string are parsed where they are JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/schema/json.h"
#include "tools/import/run.h"
#include "tools/import/span.h"

namespace nimbus::tools::import {

enum class SpanRole {
  kOther,
  kAgent,  // an agent or a workflow at work
  kModel,  // a call of a model
  kTool,   // a call of a tool
};

SpanRole RoleOf(const Span& span);

struct SpanUsage {
  Usage usage;  // without cost
  std::optional<int64_t> picodollars;
};

// InvalidArgument names the attribute that is no count or cost.
absl::StatusOr<SpanUsage> ReadSpanUsage(const Span& span);

// The messages to and from the model; null when none are recorded.
schema::Json InputMessages(const Span& span);
schema::Json OutputMessages(const Span& span);

// What a tool was given and gave back; null when it is not recorded.
schema::Json ToolArguments(const Span& span);
schema::Json ToolResult(const Span& span);
std::string_view ToolNameOf(const Span& span);
std::string_view ToolCallIdOf(const Span& span);

std::string_view AgentNameOf(const Span& span);
std::string_view ModelOf(const Span& span);         // that was asked for
std::string_view ProviderOf(const Span& span);      // "openai", …
std::string_view ConversationOf(const Span& span);  // id; empty when none

// The span as the input and the output of a step or an operation: model, its
// parameters, messages, tools offered; answer and how it ended. Null when
// nothing of it is recorded.
schema::Json ModelInput(const Span& span);
schema::Json ModelOutput(const Span& span);

// Why it failed; empty when it did not.
std::string ErrorOf(const Span& span);

// Indices of the events that tell of an evaluation.
std::vector<size_t> EvaluationsOf(const Span& span);

}  // namespace nimbus::tools::import
