// What the race tests start twice: does one thing ROUNDS times as fast as it can, and
// prints how often that succeeded, and how often another process was first.
//
//   configuring_child STORE profile NAME ROUNDS      activates the profile and 'home' in turn
//   configuring_child STORE preference VALUE ROUNDS  sets ui.theme at the version it read
//   configuring_child STORE save NAME ROUNDS         saves the profile
//   configuring_child STORE default NAME ROUNDS      makes the persona the default
//   configuring_child STORE deactivate NAME ROUNDS   switches the persona off and on
//   configuring_child STORE step NAME ROUNDS         completes the step of each round
//   configuring_child STORE store NAME ROUNDS        stores the credential of each round
//   configuring_child STORE rotate NAME ROUNDS       gives it another secret
//   configuring_child STORE remove NAME ROUNDS       removes it, that of the last round first
//   configuring_child STORE credentials NAME ROUNDS  makes the credential profile and 'home'
//                                                    the default in turn
// What is of a round has an id derived from its number (RoundId), but for a credential that
// is stored. NAME says who it was.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "configuring_child.h"
#include "nimbus/projections/database.h"
#include "nimbus/schema/entity_id.h"
#include "nimbus/schema/status.h"
#include "start_gate.h"

namespace nimbus::projections {
namespace {

struct Work {
  std::string what, name;
  int rounds = 0;
};

absl::Status DoToCredential(Credentials* credentials, const Work& work, int round) {
  if (work.what == "store") {
    return credentials
        ->Store({.name = fmt::format("credential {}", round),
                 .provider = "aws",
                 .type = "api_key",
                 .sealed = work.name})
        .status();
  }
  if (work.what == "rotate") {
    return credentials->Rotate(RoundId(round), {.sealed = work.name}).status();
  }
  if (work.what == "remove") {
    return credentials->Remove(RoundId(work.rounds - 1 - round), "race").status();
  }
  return credentials->SetDefaultProfile(round % 2 == 0 ? work.name : "home").status();
}

absl::Status SetAtTheVersionRead(Database* database, const std::string& value) {
  NIMBUS_ASSIGN_OR_RETURN(const auto state,
                          database->journal().FindEntity(schema::fb::EntityKind::preference,
                                                         schema::PreferenceId("ui.theme")));
  return database->config().SetPreference("ui.theme", "\"" + value + "\"", state->steps).status();
}

absl::Status Do(Database* database, const Work& work, int round) {
  Config& config = database->config();
  Personas& personas = database->personas();
  if (work.what == "profile") {
    return config.ActivateProfile(round % 2 == 0 ? work.name : "home").status();
  }
  if (work.what == "save") {
    return config.SaveProfile({.name = work.name, .config = "{}"}).status();
  }
  if (work.what == "preference") return SetAtTheVersionRead(database, work.name);
  if (work.what == "step") {
    return database->history()
        .CompleteOperationStep(RoundId(round), {.output = "\"" + work.name + "\""})
        .status();
  }
  if (work.what == "store" || work.what == "rotate" || work.what == "remove" ||
      work.what == "credentials") {
    return DoToCredential(&database->credentials(), work, round);
  }
  if (work.what == "default") {
    return personas.SetDefault(round % 2 == 0 ? work.name : "persona_devops").status();
  }
  return round % 2 == 0 ? personas.Deactivate(work.name).status()
                        : personas.Activate(work.name).status();
}

// Whether another process was first.
bool IsLate(const absl::Status& status, const Work& work) {
  if (work.what == "store") return absl::IsAlreadyExists(status);
  if (work.what == "rotate") return absl::IsNotFound(status);
  return absl::IsFailedPrecondition(status) || absl::IsAborted(status);
}

int Run(const std::string& store, const Work& work) {
  auto database = Database::Open(store, {.views = {.project = false}});
  int done = 0, late = 0;
  absl::Status status = database.status();
  if (status.ok()) status = WaitAtGate(store + "/gate");
  for (int round = 0; status.ok() && round < work.rounds; ++round) {
    const absl::Status result = Do(database->get(), work, round);
    if (result.ok()) {
      ++done;
    } else if (IsLate(result, work)) {
      ++late;
    } else {
      status = result;
    }
  }
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::printf("%d %d\n", done, late);
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace nimbus::projections

int main(int argc, char** argv) {
  if (argc != 5) return 64;
  return nimbus::projections::Run(argv[1], {argv[2], argv[3], std::atoi(argv[4])});
}
