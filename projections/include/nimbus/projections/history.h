// The history of what an agent did: sessions, their operations, the operations'
// steps and checkpoints. Commands append events to the journal; queries read the
// SQLite tables derived from it.
//
//   NIMBUS_ASSIGN_OR_RETURN(Written session, history.CreateSession({.name = "deploy"}));
//   NIMBUS_ASSIGN_OR_RETURN(Written operation, history.CreateOperation({
//       .session = session.id, .type = "chat", .input = R"({"prompt":"hi"})"}));
//   NIMBUS_RETURN_IF_ERROR(database.WaitFor(operation.sequence, 1000));
//   NIMBUS_ASSIGN_OR_RETURN(auto found, history.GetOperation(operation.id));
//
// A command returns when its events are on stable storage. It fails as
// journal::Journal::Append does, and nothing was written then (except DataLoss):
//   InvalidArgument     a text that should be JSON is not, or a limit is exceeded
//   NotFound            the session, operation or step does not exist
//   AlreadyExists       the id given for a new entity is taken
//   FailedPrecondition  the entity has ended, or the journal is open read-only
//
// A query sees what the projector has applied; Database::WaitFor makes it see an
// earlier write. It returns FailedPrecondition when the tables of version 2 do
// not exist (migrated down), Unavailable or DataLoss for the file's trouble.
//
// Thread-safe. Queries of one History take turns on one read-only connection and
// never block the projector; commands run side by side.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/journal/lifecycle.h"
#include "nimbus/schema/event.h"

namespace nimbus::projections {

class Views;

// How many rows a listing returns unless it is told, or the preference
// history.max_entries says another number.
inline constexpr uint64_t kListingLimitDefault = 1000;

struct Written {
  schema::Uuid id;        // of the entity written
  uint64_t sequence = 0;  // of the last event appended, for Database::WaitFor
};

// Text members are unset when empty. Those marked JSON hold one JSON value. An
// `id` left out is made by the command.
struct NewSession {
  std::string name, description;
  std::string context;  // JSON; {} when unset
  std::string persona;  // row id; must be active; counts as a use of it
  std::optional<schema::Uuid> id;
};

// What to set; empty members stay as they are.
struct SessionChange {
  std::string name, description;
  std::string context;  // JSON
  std::string persona;  // row id; must be active; counts as a use of it
};

struct NewOperation {
  schema::Uuid session;
  std::string type;   // 'chat', 'generate', 'deploy', 'query', or the caller's own word
  std::string input;  // JSON; {} when unset
  std::string plan;   // JSON
  std::string name;
  std::optional<schema::Uuid> parent;  // operation that starts this one
  std::optional<schema::Uuid> id;
};

struct NewStep {
  schema::Uuid operation;
  schema::fb::StepType type = schema::fb::StepType::tool_call;
  std::string tool_name;
  std::string input;  // JSON; {} when unset
  std::optional<schema::Uuid> id;
};

// How an operation or a step ended.
struct Result {
  std::string output;            // JSON
  std::string error;             // text
  std::string patch;             // JSON, RFC 6902: what a step did to the state; steps only
  schema::fb::OutcomeT outcome;  // duration, tokens, cost in micro-dollars
};

struct NewCheckpoint {
  schema::Uuid operation;
  schema::Uuid step;
  std::string name;
  std::string state;  // JSON, required
  std::optional<schema::Uuid> id;
};

// Rows. A time is microseconds since 1970 UTC, nullopt where the source of an
// import did not tell it. `sequence` is that of the record that made the row.
struct Session {
  schema::Uuid id;
  std::optional<std::string> name, description, context, persona_id;
  std::optional<int64_t> started_at_us, ended_at_us;
  uint64_t sequence = 0;
};

struct Operation {
  schema::Uuid id;
  schema::Uuid session_id;
  std::string type;
  std::string input;
  std::optional<std::string> output, plan;
  journal::Lifecycle status = journal::Lifecycle::kPending;
  std::optional<std::string> error;
  std::optional<int64_t> duration_ms, tokens_used, cost_cents;
  std::optional<int64_t> created_at_us, completed_at_us;
  uint64_t sequence = 0;
};

struct OperationStep {
  schema::Uuid id;
  schema::Uuid operation_id;
  int64_t step_number = 0;
  schema::fb::StepType type = schema::fb::StepType::llm_call;
  std::optional<std::string> tool_name, input;
  std::optional<std::string> output;  // of a step that failed without one: {"error":TEXT}
  journal::Lifecycle status = journal::Lifecycle::kPending;
  std::optional<int64_t> duration_ms;
  std::optional<int64_t> created_at_us;
  uint64_t sequence = 0;
};

struct Checkpoint {
  schema::Uuid id;
  schema::Uuid operation_id;
  schema::Uuid step_id;
  std::optional<std::string> name;
  std::string state;
  std::optional<int64_t> created_at_us;
  uint64_t sequence = 0;
};

struct OperationWithSteps {
  Operation operation;
  std::vector<OperationStep> steps;     // by step number
  std::vector<Checkpoint> checkpoints;  // in the order they were made
};

struct OperationFilter {
  std::optional<schema::Uuid> session;
  std::optional<std::string> type;
  std::optional<journal::Lifecycle> status;
  std::optional<uint64_t> limit;  // else that of history.max_entries
  uint64_t offset = 0;
  bool with_bodies = true;  // false leaves input empty, and output and plan unset
};

class History {
 public:
  History(journal::Journal* journal, Views* views);  // made by Database; both outlive it
  ~History();
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  absl::StatusOr<Written> CreateSession(const NewSession& session);
  absl::StatusOr<Written> UpdateSession(const schema::Uuid& session, const SessionChange& change);
  absl::StatusOr<Written> EndSession(const schema::Uuid& session);

  // Status pending.
  absl::StatusOr<Written> CreateOperation(const NewOperation& operation);
  absl::StatusOr<Written> PlanOperation(const schema::Uuid& operation, std::string plan);
  // Status running. `state` (JSON) is what replay starts from; null when unset.
  absl::StatusOr<Written> StartOperation(const schema::Uuid& operation,
                                         const std::string& state = {});
  // Any status but pending. `result` belongs to a final one; InvalidArgument when
  // one is given with running.
  absl::StatusOr<Written> UpdateOperationStatus(const schema::Uuid& operation,
                                                journal::Lifecycle status,
                                                const Result& result = {});

  // Status pending. The journal gives the step the operation's next number, from 1.
  absl::StatusOr<Written> AddOperationStep(const NewStep& step);
  absl::StatusOr<Written> StartOperationStep(const schema::Uuid& step);
  absl::StatusOr<Written> CompleteOperationStep(const schema::Uuid& step, const Result& result);
  absl::StatusOr<Written> FailOperationStep(const schema::Uuid& step, const Result& result);
  absl::StatusOr<Written> CancelOperationStep(const schema::Uuid& step, const Result& result = {});

  // Journals the state with its digest. The step must belong to the operation.
  absl::StatusOr<Written> CreateCheckpoint(const NewCheckpoint& checkpoint);

  absl::StatusOr<std::optional<Session>> GetSession(const schema::Uuid& session);
  // Newest first: by started_at, then sequence, descending; unknown times last.
  // `limit` as in OperationFilter.
  absl::StatusOr<std::vector<Session>> GetSessions(std::optional<uint64_t> limit = std::nullopt,
                                                   uint64_t offset = 0);
  absl::StatusOr<std::optional<Operation>> GetOperation(const schema::Uuid& operation);
  // Newest first: by created_at, then sequence, descending; unknown times last.
  absl::StatusOr<std::vector<Operation>> GetOperationHistory(const OperationFilter& filter = {});
  // `with_states` false leaves the checkpoints' state empty.
  absl::StatusOr<std::optional<OperationWithSteps>> GetOperationWithSteps(
      const schema::Uuid& operation, bool with_states = true);

 private:
  class Rows;

  absl::StatusOr<Written> Append(const schema::Uuid& id, const std::vector<schema::Event>& events);
  absl::StatusOr<Written> Append(const schema::Uuid& id, const schema::Event& event);
  template <typename Payload>
  absl::StatusOr<Written> AppendForSession(const schema::Uuid& session, schema::fb::BodyT body,
                                           const std::string& persona);
  absl::StatusOr<schema::Uuid> OperationOfStep(const schema::Uuid& step) const;
  template <typename Payload>
  absl::StatusOr<Written> EndStep(const schema::Uuid& step, const Result& result);

  journal::Journal* const journal_;
  const std::unique_ptr<Rows> rows_;
};

using journal::ParseStatus;
using journal::StatusText;

}  // namespace nimbus::projections
