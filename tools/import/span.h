// Spans of OpenTelemetry traces, whatever wrote them: OTLP/JSON, a Tempo or
// Jaeger export, or a flat list as Python exporters and tests write it.
//
//   NIMBUS_ASSIGN_OR_RETURN(const std::vector<Span> spans, ReadOtlpSpans(record));
//
// Ids are lower-case hex, also where they were written as decimal numbers of
// 128 bits; times are taken digit for digit, never through a double. Attributes
// become one JSON object per span, in which 64-bit integers keep their digits.
// InvalidArgument names the member that is not what its format says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/schema/json.h"

namespace nimbus::tools::import {

// The kinds of OTLP that say where a trace enters a program.
inline constexpr int kServerSpan = 2, kConsumerSpan = 5;

struct SpanEvent {
  std::string name;
  schema::Json attributes;  // object
  std::optional<int64_t> time_ns;
};

struct Span {
  std::string trace, id;
  std::string parent;  // empty: a root
  std::string name;
  int kind = 0;  // as OTLP numbers them
  // Of the flags: the parent is in another process.
  bool remote_parent = false;
  std::optional<int64_t> start_ns, end_ns;  // since 1970; no end: not recorded
  bool failed = false;
  std::string message;      // of the status
  schema::Json attributes;  // object
  std::vector<SpanEvent> events;
  std::string service, scope;  // what the program and the instrumentation are called
};

// {"resourceSpans":[…]}, {"batches":[…]} or {"trace":{…}} around either.
bool HasOtlpSpans(const schema::Json& record);
absl::StatusOr<std::vector<Span>> ReadOtlpSpans(const schema::Json& record);

// {"data":[{"traceID":…,"spans":[…],"processes":{…}}]}.
bool HasJaegerSpans(const schema::Json& record);
absl::StatusOr<std::vector<Span>> ReadJaegerSpans(const schema::Json& record);

// [{"trace_id":…,"attributes":{…}}], {"spans":[…]} or one such span. The ids
// stand in the span or in its "context".
bool HasFlatSpans(const schema::Json& record);
absl::StatusOr<std::vector<Span>> ReadFlatSpans(const schema::Json& record);

// Microseconds since 1970, as times are journaled; towards the past.
std::optional<int64_t> MicrosOfNanos(std::optional<int64_t> nanos);

}  // namespace nimbus::tools::import
