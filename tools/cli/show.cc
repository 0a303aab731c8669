#include "tools/cli/show.h"

#include <fmt/format.h>

#include <array>
#include <iostream>

#include "nimbus/schema/clock.h"
#include "nimbus/schema/digest.h"

namespace nimbus::tools::cli {
namespace {

using schema::Json;

// The first of these members that is a string says most about a value.
constexpr std::array<std::string_view, 17> kTellingMembers = {
    "prompt",   "command", "text",        "content",   "message",     "stdout",
    "output",   "query",   "error",       "file_path", "description", "name",
    "response", "action",  "observation", "reasoning", "cmd"};

constexpr size_t kSummaryMax = 400;  // characters

std::string SummaryOf(const Json& value, int depth) {
  if (value.IsString()) return value.string();
  if (value.IsObject() && depth < 3) {
    for (const std::string_view name : kTellingMembers) {
      const Json* member = value.Find(name);
      if (member == nullptr || member->IsNull()) continue;
      std::string text = SummaryOf(*member, depth + 1);
      if (!text.empty()) return text;
    }
  }
  if (value.IsArray() && value.array().size() == 1 && depth < 3) {
    return SummaryOf(value.array().front(), depth + 1);
  }
  if (value.IsObject() && value.object().empty()) return {};
  return OneLine(value.Dump(), kSummaryMax);
}

Json IdJson(const schema::Uuid& id) { return Json::String(id.ToString()); }

}  // namespace

std::string ShowDuration(std::optional<int64_t> ms) {
  if (!ms.has_value()) return "-";
  if (*ms < 1000) return fmt::format("{} ms", *ms);
  if (*ms < 60'000) return fmt::format("{:.1f} s", static_cast<double>(*ms) / 1000);
  const int64_t seconds = *ms / 1000;
  if (seconds < 3600) return fmt::format("{} m {:02} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {:02} m", seconds / 3600, seconds / 60 % 60);
}

std::string ShowCents(std::optional<int64_t> cents) {
  if (!cents.has_value()) return "-";
  return fmt::format("${}.{:02}", *cents / 100, *cents % 100);
}

std::string ShowNumber(std::optional<int64_t> value) {
  return value.has_value() ? fmt::format("{}", *value) : "-";
}

std::string ShowBytes(uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string ShowTime(std::optional<int64_t> micros) {
  constexpr size_t kToSeconds = sizeof("2026-01-10 21:39:35") - 1;
  return micros.has_value() ? schema::FormatUtc(*micros).substr(0, kToSeconds) : "-";
}

Style StyleOf(journal::Lifecycle status) {
  switch (status) {
    case journal::Lifecycle::kCompleted:
      return Style::kGood;
    case journal::Lifecycle::kFailed:
      return Style::kBad;
    case journal::Lifecycle::kCancelled:
      return Style::kWarn;
    case journal::Lifecycle::kPending:
    case journal::Lifecycle::kRunning:
      break;
  }
  return Style::kBold;
}

std::string Summary(std::string_view json) {
  const absl::StatusOr<Json> value = Json::Parse(json);
  return value.ok() ? SummaryOf(*value, 0) : OneLine(json, kSummaryMax);
}

Json JsonText(const std::optional<std::string>& text) {
  return text.has_value() ? Json::String(*text) : Json();
}

Json JsonOrNull(const std::optional<std::string>& text) {
  if (!text.has_value() || text->empty()) return Json();
  absl::StatusOr<Json> value = Json::Parse(*text);
  return value.ok() ? *std::move(value) : Json::String(*text);
}

Json JsonTime(std::optional<int64_t> micros) {
  if (!micros.has_value()) return Json();
  std::string text = schema::FormatUtc(*micros);
  text[text.find(' ')] = 'T';
  return Json::String(text + "Z");
}

Json JsonInt(std::optional<int64_t> value) {
  return value.has_value() ? Json::Int(*value) : Json();
}

Json ToJson(const projections::Session& session) {
  return Json::MakeObject({{"id", IdJson(session.id)},
                           {"name", JsonText(session.name)},
                           {"description", JsonText(session.description)},
                           {"context", JsonOrNull(session.context)},
                           {"persona_id", JsonText(session.persona_id)},
                           {"started_at", JsonTime(session.started_at_us)},
                           {"ended_at", JsonTime(session.ended_at_us)},
                           {"sequence", Json::Uint(session.sequence)}});
}

Json ToJson(const projections::Operation& operation) {
  return Json::MakeObject(
      {{"id", IdJson(operation.id)},
       {"session_id", IdJson(operation.session_id)},
       {"type", Json::String(operation.type)},
       {"status", Json::String(std::string(projections::StatusText(operation.status)))},
       {"input", JsonOrNull(operation.input)},
       {"output", JsonOrNull(operation.output)},
       {"plan", JsonOrNull(operation.plan)},
       {"error", JsonText(operation.error)},
       {"duration_ms", JsonInt(operation.duration_ms)},
       {"tokens_used", JsonInt(operation.tokens_used)},
       {"cost_cents", JsonInt(operation.cost_cents)},
       {"created_at", JsonTime(operation.created_at_us)},
       {"completed_at", JsonTime(operation.completed_at_us)},
       {"sequence", Json::Uint(operation.sequence)}});
}

Json ToJson(const projections::OperationStep& step) {
  return Json::MakeObject(
      {{"id", IdJson(step.id)},
       {"step_number", Json::Int(step.step_number)},
       {"type", Json::String(schema::fb::EnumNameStepType(step.type))},
       {"tool_name", JsonText(step.tool_name)},
       {"status", Json::String(std::string(projections::StatusText(step.status)))},
       {"input", JsonOrNull(step.input)},
       {"output", JsonOrNull(step.output)},
       {"duration_ms", JsonInt(step.duration_ms)},
       {"created_at", JsonTime(step.created_at_us)},
       {"sequence", Json::Uint(step.sequence)}});
}

Json ToJson(const projections::Checkpoint& checkpoint) {
  return Json::MakeObject({{"id", IdJson(checkpoint.id)},
                           {"step_id", IdJson(checkpoint.step_id)},
                           {"name", JsonText(checkpoint.name)},
                           {"state", JsonOrNull(checkpoint.state)},
                           {"created_at", JsonTime(checkpoint.created_at_us)},
                           {"sequence", Json::Uint(checkpoint.sequence)}});
}

Json ToJson(const journal::RecordView& view) {
  const schema::fb::Envelope& envelope = view.envelope();
  const std::optional<int64_t> occurred = schema::OccurredAt(*view.record);
  return Json::MakeObject(
      {{"sequence", Json::Uint(view.sequence)},
       {"time", JsonTime(envelope.time_us())},
       {"occurred_at", JsonTime(occurred)},
       {"event", Json::String(schema::fb::EnumNameEvent(view.record->event_type()))},
       {"stream_kind", Json::String(schema::fb::EnumNameEntityKind(envelope.stream_kind()))},
       {"stream", IdJson(schema::Uuid::FromFb(envelope.stream()))},
       {"version", Json::Uint(envelope.version())},
       {"previous", Json::Uint(envelope.previous())},
       {"step_number", envelope.ordinal() == 0 ? Json() : Json::Uint(envelope.ordinal())},
       {"body_bytes", Json::Uint(envelope.body_size())},
       {"body_commitment", envelope.body_size() == 0 ? Json()
                                                     : Json::String(schema::ToHex(schema::FromFb(
                                                           envelope.body_commitment())))}});
}

void PrintJson(const Json& value) {
  std::cout << (IsTerminal(std::cout) ? value.DumpPretty() : value.Dump()) << '\n';
}

}  // namespace nimbus::tools::cli
