// Inspect evaluation logs: one JSON document, or a zip archive (.eval) with one
// member per sample. What the log says of the evaluation is the session, each
// sample an operation (inspect_sample.h).
//
// An archive is written while the evaluation runs: its samples appear when they
// are done, and header.json, which tells how it all ended, comes last. Without it
// _journal/start.json tells what was known at the start.
#include <string>
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/import/document.h"
#include "tools/import/format.h"
#include "tools/import/inspect_sample.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using schema::Error;
using schema::Json;

constexpr std::string_view kFormat = "inspect";
constexpr std::string_view kHeader = "header.json";
constexpr std::string_view kStart = "_journal/start.json";
constexpr std::string_view kSamples = "samples/";

bool IsHeader(const Json& header) {
  const Json* eval = header.Find("eval");
  return header.Find("version") != nullptr && eval != nullptr && !eval->StringOr("task").empty() &&
         eval->Find("model") != nullptr;
}

// The part of the source that tells of the evaluation, and its path; nullptr
// when the source is no log.
const Json* HeaderOf(const Source& source, std::string* path) {
  const Json* document = DocumentOf(source);
  if (document == nullptr || !source.archive) return document;
  for (const std::string_view member : {kHeader, kStart}) {
    const Json* header = document->Find(member);
    if (header == nullptr) continue;
    *path = member;
    return header;
  }
  return nullptr;
}

// A version and the like, where the log has it.
absl::StatusOr<Json> ReadContext(const Fields& header, const Fields& eval) {
  Json context = Json::MakeObject({{"agent", Json::String("Inspect")}});
  if (const Json* version = eval.json().FindPath({"packages", "inspect_ai"}))
    context.Set("version", *version);
  for (const std::string_view key :
       {"task", "task_id", "task_version", "run_id", "eval_id", "model", "created", "dataset",
        "sandbox", "config", "revision", "packages"}) {
    if (const Json* value = eval.Find(key)) context.Set(key, *value);
  }
  for (const std::string_view key : {"status", "error", "invalidated"}) {
    if (const Json* value = header.Find(key)) context.Set(key, *value);
  }
  return context;
}

absl::StatusOr<std::string> KeyOf(const Fields& eval) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view eval_id, eval.Text("eval_id"));
  if (!eval_id.empty()) return std::string(eval_id);
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view run, eval.Text("run_id"));
  NIMBUS_ASSIGN_OR_RETURN(const std::string_view task, eval.Text("task_id"));
  if (run.empty() || task.empty())
    return Error(absl::StatusCode::kInvalidArgument, "{}: neither eval_id nor run_id and task_id",
                 eval.path());
  return fmt::format("{}/{}", run, task);
}

absl::Status ReadSession(const Fields& header, const Fields& eval, Session* session) {
  NIMBUS_ASSIGN_OR_RETURN(session->context, ReadContext(header, eval));
  session->name = eval.json().StringOr("task");
  NIMBUS_ASSIGN_OR_RETURN(session->started_at_us, eval.UtcText("created"));
  NIMBUS_ASSIGN_OR_RETURN(const Json* stats, header.Optional("stats", Json::Type::kObject));
  if (stats == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*stats, header.PathOf("stats")));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<int64_t> started, fields.UtcText("started_at"));
  if (started.has_value()) session->started_at_us = started;
  // No end: a log of the same evaluation with more samples may follow.
  NIMBUS_RETURN_IF_ERROR(fields.UtcText("completed_at").status());
  if (const Json* ended = fields.Find("completed_at")) session->context.Set("completed_at", *ended);
  return absl::OkStatus();
}

// The samples with their paths, in the order of the source.
absl::StatusOr<std::vector<Fields>> SamplesOf(const Source& source, const Fields& header) {
  std::vector<Fields> samples;
  if (source.archive) {
    for (const auto& [name, value] : DocumentOf(source)->object()) {
      if (!name.starts_with(kSamples)) continue;
      NIMBUS_ASSIGN_OR_RETURN(Fields sample, Fields::Of(value, ToolName(name)));
      samples.push_back(std::move(sample));
    }
    return samples;
  }
  NIMBUS_ASSIGN_OR_RETURN(const Json* list, header.Optional("samples", Json::Type::kArray));
  for (size_t i = 0; list != nullptr && i < list->array().size(); ++i) {
    NIMBUS_ASSIGN_OR_RETURN(Fields sample,
                            Fields::Of(list->array()[i], ItemPath(header.PathOf("samples"), i)));
    samples.push_back(std::move(sample));
  }
  return samples;
}

// Where only the log counts tokens, a single sample used them.
absl::Status ReadLogUsage(const Fields& header, Operation* operation) {
  if (operation->usage.total || operation->usage.input) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Json* stats, header.Optional("stats", Json::Type::kObject));
  if (stats == nullptr) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(const Fields fields, Fields::Of(*stats, header.PathOf("stats")));
  NIMBUS_ASSIGN_OR_RETURN(operation->usage, ReadInspectUsage(fields));
  return absl::OkStatus();
}

}  // namespace

bool IsInspectLog(const Source& source) {
  std::string path;
  const Json* header = HeaderOf(source, &path);
  return header != nullptr && IsHeader(*header);
}

absl::StatusOr<Run> ReadInspectLog(const Source& source) {
  std::string path;
  NIMBUS_ASSIGN_OR_RETURN(const Fields header, Fields::Of(*HeaderOf(source, &path), path));
  NIMBUS_ASSIGN_OR_RETURN(const Json* object, header.Required("eval", Json::Type::kObject));
  NIMBUS_ASSIGN_OR_RETURN(const Fields eval, Fields::Of(*object, header.PathOf("eval")));
  Run run;
  run.format = kFormat;
  NIMBUS_ASSIGN_OR_RETURN(run.key, KeyOf(eval));
  NIMBUS_RETURN_IF_ERROR(CheckName(run.key, eval.path()));
  Session session;
  session.source_id = run.key;
  NIMBUS_RETURN_IF_ERROR(ReadSession(header, eval, &session));
  const Json* plan = header.Find("plan");
  Notes notes;
  if (path == kStart) notes.Add("no header.json: the evaluation was not over, or broke off");
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<Fields> samples, SamplesOf(source, header));
  for (const Fields& sample : samples) {
    NIMBUS_ASSIGN_OR_RETURN(Operation operation, ReadInspectSample(sample, &notes));
    operation.name = fmt::format("{} {}", session.name, operation.source_id);
    if (plan != nullptr) operation.plan = plan->Dump();
    operation.first_record = session.operations.empty() ? 0 : 1;  // the one record tells of all
    operation.end_record = 1;
    session.operations.push_back(std::move(operation));
  }
  if (session.operations.size() == 1)
    NIMBUS_RETURN_IF_ERROR(ReadLogUsage(header, &session.operations[0]));
  run.sessions.push_back(std::move(session));
  run.notes = notes.Take();
  return run;
}

}  // namespace nimbus::tools::import
