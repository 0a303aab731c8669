// OpenTelemetry traces, in three formats: OTLP/JSON (a document, or one object a
// line as the collector's file exporter writes it; Tempo's export too), the JSON
// of Jaeger's query service, and flat lists of spans (also one a line) as Python
// exporters, tests and any-agent write them. What they tell is trace.h's matter.
//
// A file may be the beginning of a longer one, so it is known by its first
// record. Another export of the same trace is another source of the same
// operations.
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/import/format.h"
#include "tools/import/text.h"
#include "tools/import/trace.h"

namespace nimbus::tools::import {
namespace {

using schema::Error;
using schema::Json;

constexpr size_t kRecordsTried = 16;  // until one shows the format

using Has = bool (*)(const Json& record);
using ReadSpans = absl::StatusOr<std::vector<Span>> (*)(const Json& record);

bool AnyRecord(const Source& source, Has has) {
  for (size_t i = 0; i < std::min(source.records.size(), kRecordsTried); ++i) {
    if (has(source.records[i].value)) return true;
  }
  return false;
}

// Records of other kinds (OTLP's logs and metrics) tell nothing of spans.
absl::StatusOr<Run> ReadTraces(const Source& source, std::string_view format, Has has,
                               ReadSpans read) {
  TraceReader reader(format);
  for (size_t i = 0; i < source.records.size(); ++i) {
    const SourceRecord& record = source.records[i];
    if (!has(record.value)) continue;
    absl::StatusOr<std::vector<Span>> spans = read(record.value);
    absl::Status status = spans.status();
    if (spans.ok()) status = reader.Take(i, *std::move(spans));
    if (!status.ok() && source.records.size() > 1)
      return schema::Annotate(status, fmt::format("line {}", record.line));
    NIMBUS_RETURN_IF_ERROR(status);
  }
  if (reader.spans() == 0)
    return Error(absl::StatusCode::kInvalidArgument, "no spans: nothing to import");
  Run run = reader.Finish();
  run.key = ShortDigest(source.records.front().text);
  return run;
}

// any-agent keeps what its agent answered beside the spans.
void SetFinalOutput(const Json& document, Run* run) {
  const Json* answer = document.Find("final_output");
  if (answer == nullptr || answer->IsNull() || run->sessions.size() != 1) return;
  Session& session = run->sessions.front();
  if (session.operations.size() != 1) return;
  Operation& operation = session.operations.front();
  if (operation.status != journal::Lifecycle::kRunning) operation.output = answer->Dump();
}

}  // namespace

bool IsOtlp(const Source& source) { return AnyRecord(source, HasOtlpSpans); }

absl::StatusOr<Run> ReadOtlp(const Source& source) {
  return ReadTraces(source, "otlp-json", HasOtlpSpans, ReadOtlpSpans);
}

bool IsJaeger(const Source& source) {
  const Json* document = DocumentOf(source);
  return document != nullptr && HasJaegerSpans(*document);
}

absl::StatusOr<Run> ReadJaeger(const Source& source) {
  return ReadTraces(source, "jaeger-json", HasJaegerSpans, ReadJaegerSpans);
}

bool IsSpanList(const Source& source) { return !IsOtlp(source) && AnyRecord(source, HasFlatSpans); }

absl::StatusOr<Run> ReadSpanList(const Source& source) {
  NIMBUS_ASSIGN_OR_RETURN(Run run, ReadTraces(source, "span-list", HasFlatSpans, ReadFlatSpans));
  if (source.records.size() == 1) SetFinalOutput(source.records.front().value, &run);
  return run;
}

}  // namespace nimbus::tools::import
