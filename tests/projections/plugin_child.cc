// What races for plugins in the tests: does one thing to many plugins, as fast as it can,
// and prints a line for each: the number, and the code of the status.
//
//   plugin_child STORE install|uninstall PLUGINS          plugin-0, plugin-1, …
//   plugin_child STORE need PLUGINS                       needs-0, which needs plugin-0 ^1, …
//   plugin_child STORE update PLUGINS                     plugin-0 to version 2.0.0, …
//   plugin_child STORE left|right PLUGINS                 left-0 is to need right-0, or it that
//
// or takes plugins.lock, prints "held", stops itself, and ends when it is continued:
//
//   plugin_child STORE hold
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "generations.h"
#include "plugins_fixture.h"
#include "start_gate.h"

namespace nimbus::projections {
namespace {

absl::Status Do(Plugins* plugins, std::string_view what, const std::string& number) {
  const std::string name = "plugin-" + number;
  if (what == "install") return plugins->Install(ManifestOf(name)).status();
  if (what == "need") {
    return plugins->Install(ManifestOf("needs-" + number, "1.0.0", {name + " ^1"})).status();
  }
  const bool leans = what == "left" || what == "right";
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<schema::Uuid> id,
                          plugins->FindByName(leans ? fmt::format("{}-{}", what, number) : name));
  if (!id) return absl::NotFoundError(name);
  if (what == "update") return plugins->Update(*id, {.version = "2.0.0"}).status();
  if (!leans) return plugins->Uninstall(*id).status();
  const std::vector<std::string> other = {(what == "left" ? "right-" : "left-") + number};
  return plugins->Update(*id, {.dependencies = other}).status();
}

int HoldTheLock(const std::string& store) {
  const absl::StatusOr<FileLock> lock = FileLock::TakeWithin(store + "/plugins.lock", 60'000);
  if (!lock.ok()) return 1;
  std::puts("held");
  std::fflush(stdout);
  raise(SIGSTOP);
  return 0;
}

}  // namespace
}  // namespace nimbus::projections

int main(int argc, char** argv) {
  using nimbus::projections::Database;
  if (argc == 3 && std::string_view(argv[2]) == "hold") {
    return nimbus::projections::HoldTheLock(argv[1]);
  }
  if (argc != 4) return 64;
  auto database = Database::Open(argv[1], {});
  absl::Status opened = database.status();
  if (opened.ok()) opened = nimbus::projections::WaitAtGate(std::string(argv[1]) + "/gate");
  if (!opened.ok()) {
    std::fprintf(stderr, "%s\n", opened.ToString().c_str());
    return 1;
  }
  for (int i = 0; i < std::atoi(argv[3]); ++i) {
    const absl::Status status =
        nimbus::projections::Do(&(*database)->plugins(), argv[2], std::to_string(i));
    std::printf("%d %s\n", i, absl::StatusCodeToString(status.code()).c_str());
    if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  }
  return 0;
}
