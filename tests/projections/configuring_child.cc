// What the race tests start twice: does one thing ROUNDS times as fast as it can, and
// prints how often that succeeded, and how often another process was first.
//
//   configuring_child STORE profile NAME ROUNDS      activates the profile and 'home' in turn
//   configuring_child STORE preference VALUE ROUNDS  sets ui.theme at the version it read
//   configuring_child STORE save NAME ROUNDS         saves the profile
//   configuring_child STORE default NAME ROUNDS      makes the persona the default
//   configuring_child STORE deactivate NAME ROUNDS   switches the persona off and on
#include <cstdio>
#include <cstdlib>
#include <string>

#include "nimbus/projections/database.h"
#include "nimbus/schema/entity_id.h"
#include "nimbus/schema/status.h"

namespace nimbus::projections {
namespace {

struct Work {
  std::string what, name;
};

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
  if (work.what == "default") {
    return personas.SetDefault(round % 2 == 0 ? work.name : "persona_devops").status();
  }
  return round % 2 == 0 ? personas.Deactivate(work.name).status()
                        : personas.Activate(work.name).status();
}

int Run(const std::string& store, const Work& work, int rounds) {
  auto database = Database::Open(store, {.views = {.project = false}});
  int done = 0, late = 0;
  absl::Status status = database.status();
  for (int round = 0; status.ok() && round < rounds; ++round) {
    const absl::Status result = Do(database->get(), work, round);
    if (result.ok()) {
      ++done;
    } else if (absl::IsFailedPrecondition(result) || absl::IsAborted(result)) {
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
  return nimbus::projections::Run(argv[1], {argv[2], argv[3]}, std::atoi(argv[4]));
}
