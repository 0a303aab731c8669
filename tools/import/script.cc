#include "tools/import/script.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>

#include "nimbus/schema/status.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using schema::Error;
using schema::Uuid;
using schema::fb::StepType;

// The texts of one step, and of an operation itself, stay well below what a body
// may hold, and its conversation below what a state may, so that no import fails
// half-way.
constexpr size_t kTextBytesMax = 24u << 20;

std::string Scope(std::string_view what, const Run& run) {
  return fmt::format("nimbus:{}:{}", what, run.format);
}

void AddOperation(const Operation& operation, size_t session, size_t index,
                  std::vector<Item>* items) {
  using Kind = Item::Kind;
  const auto add = [&](Kind kind, uint64_t record, size_t step = 0) {
    items->push_back({kind, std::max(record, operation.added_record), session, index, step});
  };
  add(Kind::kOperation, operation.added_record);
  if (!operation.plan.empty()) add(Kind::kPlan, operation.planned_record);
  for (size_t i = 0; i < operation.steps.size(); ++i) {
    const Step& step = operation.steps[i];
    add(Kind::kStep, step.added_record, i);
    if (journal::IsFinal(step.status))
      add(Kind::kStepEnd, std::max(step.added_record, step.ended_record), i);
  }
  if (journal::IsFinal(operation.status)) add(Kind::kOperationEnd, operation.ended_record);
}

absl::Status CheckBytes(const std::string& where, size_t bytes, size_t bytes_max) {
  if (bytes <= bytes_max) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument, "{}: {} bytes, {} are allowed", where, bytes,
               bytes_max);
}

size_t MessageBytes(const Step& step) {
  size_t bytes = 0;
  for (const schema::Json& message : step.messages) bytes += message.Dump().size();
  if (!step.patch.IsNull()) bytes += step.patch.Dump().size();
  return bytes;
}

absl::Status ValidateStep(const Step& step, const std::string& where, uint64_t records) {
  NIMBUS_RETURN_IF_ERROR(
      CheckBytes(where, step.input.size() + step.output.size() + step.error.size(), kTextBytesMax));
  if (step.added_record >= records || step.ended_record >= records)
    return Error(absl::StatusCode::kInternal, "{}: names record {} of {}", where,
                 std::max(step.added_record, step.ended_record), records);
  return absl::OkStatus();
}

absl::Status ValidateOperation(const Operation& operation, const std::string& where,
                               uint64_t records) {
  if (operation.type.empty() || operation.type.size() > schema::kNameBytesMax)
    return Error(absl::StatusCode::kInvalidArgument, "{}: no valid type", where);
  if (operation.end_record > records || operation.added_record >= records)
    return Error(absl::StatusCode::kInternal, "{}: names a record beyond {}", where, records);
  NIMBUS_RETURN_IF_ERROR(CheckBytes(where,
                                    operation.input.size() + operation.output.size() +
                                        operation.plan.size() + operation.error.size(),
                                    kTextBytesMax));
  size_t conversation = operation.state.IsNull() ? 0 : operation.state.Dump().size();
  NIMBUS_RETURN_IF_ERROR(CheckBytes(where + ", state", conversation, kStateBytesMax));
  std::set<std::pair<StepType, std::string_view>> ids;
  for (const Step& step : operation.steps) {
    const size_t messages = MessageBytes(step);
    NIMBUS_RETURN_IF_ERROR(
        CheckBytes(where + ", messages or patch of a step", messages, kTextBytesMax));
    // What patches make of the state, their reader has seen.
    conversation += step.patch.IsNull() ? messages : 0;
    NIMBUS_RETURN_IF_ERROR(CheckBytes(where + ", conversation", conversation, kStateBytesMax));
    const std::string what = fmt::format("{}, step '{}'", where, step.source_id);
    if (!ids.emplace(step.type, step.source_id).second)
      return Error(absl::StatusCode::kInvalidArgument, "{}: occurs twice", what);
    NIMBUS_RETURN_IF_ERROR(ValidateStep(step, what, records));
    if (journal::IsFinal(operation.status) && step.ended_record > operation.ended_record)
      return Error(absl::StatusCode::kInternal, "{}: ends after its operation", what);
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Item> MakeScript(const Run& run) {
  std::vector<Item> items;
  for (size_t s = 0; s < run.sessions.size(); ++s) {
    const std::vector<Operation>& operations = run.sessions[s].operations;
    uint64_t begin = operations.empty() ? 0 : operations.front().added_record;
    for (const Operation& operation : operations) begin = std::min(begin, operation.added_record);
    items.push_back({Item::Kind::kSession, begin, s, 0, 0});
    for (size_t o = 0; o < operations.size(); ++o) AddOperation(operations[o], s, o, &items);
  }
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.record < b.record; });
  return items;
}

absl::Status ValidateRun(const Run& run, uint64_t records) {
  for (const Session& session : run.sessions) {
    std::set<std::string_view> ids;
    for (const Operation& operation : session.operations) {
      const std::string where = fmt::format("operation '{}'", operation.source_id);
      if (!ids.insert(operation.source_id).second)
        return Error(absl::StatusCode::kInvalidArgument, "{}: occurs twice", where);
      NIMBUS_RETURN_IF_ERROR(ValidateOperation(operation, where, records));
    }
  }
  return absl::OkStatus();
}

Uuid SourceId(std::string_view format, std::string_view key) {
  return schema::DeriveUuid(fmt::format("nimbus:source:{}", format), key);
}

Uuid SessionId(const Run& run, const Session& session) {
  return schema::DeriveUuid(Scope("session", run), session.source_id);
}

Uuid OperationId(const Run& run, const Session& session, std::string_view source_id) {
  return schema::DeriveUuid(Scope("operation", run),
                            fmt::format("{}\n{}", session.source_id, source_id));
}

namespace {

// `id` with the first 48 bits of its operation's id, as ids made in one moment
// share theirs: what is written together then lies together in the journal's
// tables, which would otherwise be touched all over.
Uuid BesideEachOther(const Uuid& operation, Uuid id) {
  constexpr size_t kShared = 6;
  std::copy_n(operation.bytes.begin(), kShared, id.bytes.begin());
  return id;
}

}  // namespace

Uuid StepId(const Run& run, const Uuid& operation, const Step& step) {
  const std::string name = fmt::format("{}\n{}\n{}", operation.ToString(),
                                       schema::fb::EnumNameStepType(step.type), step.source_id);
  return BesideEachOther(operation, schema::DeriveUuid(Scope("step", run), name));
}

Uuid CheckpointId(const Uuid& operation, const Uuid& step) {
  return BesideEachOther(operation, schema::DeriveUuid("nimbus:checkpoint", step.ToString()));
}

Counts CountRun(const Run& run) {
  Counts counts;
  counts.sessions = run.sessions.size();
  for (const Session& session : run.sessions) {
    for (const Operation& operation : session.operations) {
      ++counts.operations;
      counts.steps += operation.steps.size();
      Usage of_steps;
      for (const Step& step : operation.steps) {
        AddUsage(step.usage, &of_steps);
        counts.llm_calls += step.type == StepType::llm_call;
        counts.user_inputs += step.type == StepType::user_input;
        counts.verifications += step.type == StepType::verification;
        if (step.type != StepType::tool_call) continue;
        ++counts.tool_calls;
        counts.tool_results += !step.output.empty();
        counts.tool_errors += !step.error.empty() || step.status == journal::Lifecycle::kFailed;
      }
      Usage usage = operation.usage;
      const bool told = usage.total || usage.input || usage.output;
      if (!told) {
        const std::optional<int64_t> cost = usage.cost_microdollars;
        usage = of_steps;
        if (cost) usage.cost_microdollars = cost;
      } else if (!usage.cost_microdollars) {
        usage.cost_microdollars = of_steps.cost_microdollars;
      }
      AddUsage(usage, &counts.usage);
    }
  }
  return counts;
}

}  // namespace nimbus::tools::import
