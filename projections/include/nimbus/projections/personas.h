// Who an agent speaks as: a system prompt, a temperature, a preferred model. Six
// personas are built in; others are defined, changed, and switched off and on.
//
//   NIMBUS_ASSIGN_OR_RETURN(Written made, personas.Define({
//       .name = "pirate", .display_name = "Pirate", .system_prompt = "You are a pirate."}));
//   NIMBUS_RETURN_IF_ERROR(personas.UseInSession(session, made.id.ToString()).status());
//   NIMBUS_RETURN_IF_ERROR(database.WaitFor(made.sequence, 1000));
//   NIMBUS_ASSIGN_OR_RETURN(auto pirate, personas.GetByName("pirate"));
//
// A persona is named by its row id: of a built-in one the specification's
// ('persona_devops'), else a UUID. FindRowId gives that of a name.
//
// Commands append events to the journal, and decide by what it holds, not by the
// views. They fail as journal::Journal::Append does, and nothing was written then
// (except DataLoss):
//   InvalidArgument     a required text is missing, JSON that is none, a limit exceeded
//   NotFound            the persona or session does not exist, or was removed
//   AlreadyExists       another persona has the name
//   FailedPrecondition  as each command says, or the journal is open read-only
//
// A query sees what the projector has applied. It returns FailedPrecondition when the
// tables of version 4 do not exist (migrated down).
//
// Thread-safe, as History is.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/projections/history.h"

namespace nimbus::projections {

inline constexpr double kTemperatureDefault = 0.7;
inline constexpr double kTemperatureMax = 2.0;  // 0 is the least

// Text members are unset when empty.
struct NewPersona {
  std::string name;          // unique, required; never changes
  std::string display_name;  // required
  std::string description;
  std::string system_prompt;  // required
  double temperature = kTemperatureDefault;
  std::string model;           // preferred
  std::string response_style;  // JSON
  std::string capabilities;    // JSON
};

// What to set; empty members stay as they are.
struct PersonaChange {
  std::string display_name, description, system_prompt;
  std::optional<double> temperature;
  std::string model;
  std::string response_style, capabilities;  // JSON
};

struct Persona {
  std::string id;
  std::string name, display_name;
  std::optional<std::string> description;
  std::string system_prompt;
  double temperature = kTemperatureDefault;
  std::optional<std::string> model_preference, response_style, capabilities;
  bool is_builtin = false;
  bool is_active = true;
  std::optional<int64_t> created_at_us, updated_at_us;
  uint64_t sequence = 0;
};

struct PersonaUsageFilter {
  std::optional<std::string> persona;  // row id
  std::optional<schema::Uuid> session;
  std::optional<int64_t> since_us;  // uses at that time or later; none of unknown time
};

struct PersonaUsage {
  std::string persona_id, name;
  uint64_t uses = 0;
  std::optional<int64_t> last_used_at_us;
};

class Personas {
 public:
  Personas(journal::Journal* journal, Views* views);  // made by Database; both outlive it
  ~Personas();
  Personas(const Personas&) = delete;
  Personas& operator=(const Personas&) = delete;

  // Active from the start. `Written::id` is its row id.
  absl::StatusOr<Written> Define(const NewPersona& persona);
  // FailedPrecondition: it is built in.
  absl::StatusOr<Written> Update(std::string_view row_id, const PersonaChange& change);
  // Append nothing when it is so already.
  absl::StatusOr<Written> Activate(std::string_view row_id);
  // FailedPrecondition: it is the default one. Choose another before.
  absl::StatusOr<Written> Deactivate(std::string_view row_id);
  // FailedPrecondition: it is built in, has been used, or is the default one. Deactivate
  // it instead. Its name is free again.
  absl::StatusOr<Written> Remove(std::string_view row_id, const std::string& reason = {});

  // Makes it the persona of the session, and counts a use of it, in one append.
  // FailedPrecondition: it is not active, or the session has ended.
  absl::StatusOr<Written> UseInSession(const schema::Uuid& session, std::string_view row_id);

  // Sets the preference agent.default_persona to its name. FailedPrecondition: it is not
  // active.
  absl::StatusOr<Written> SetDefault(std::string_view row_id);
  // The journal decides which one that is; waits until the views know it, at most
  // ViewsOptions::command_wait_ms (DeadlineExceeded).
  absl::StatusOr<std::optional<Persona>> GetDefault();

  // Of a name, else of a row id. NotFound names it.
  absl::StatusOr<std::string> FindRowId(std::string_view name_or_row_id) const;

  absl::StatusOr<std::optional<Persona>> Get(std::string_view row_id);
  absl::StatusOr<std::optional<Persona>> GetByName(std::string_view name);
  // All, in the order they were defined.
  absl::StatusOr<std::vector<Persona>> List(bool active_only = false);
  // Of each persona with a use that the filter admits; the most used first.
  absl::StatusOr<std::vector<PersonaUsage>> GetUsage(const PersonaUsageFilter& filter = {});

 private:
  class Rows;

  absl::StatusOr<Written> Append(const schema::Uuid& id, const std::vector<schema::Event>& events);

  journal::Journal* const journal_;
  Views* const views_;
  const std::unique_ptr<Rows> rows_;
};

}  // namespace nimbus::projections
