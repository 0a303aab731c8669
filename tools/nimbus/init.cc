#include <fmt/format.h>

#include <iostream>

#include "nimbus/projections/builtins.h"
#include "nimbus/schema/status.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

absl::StatusOr<int> Init(const cli::CommandLine& line) {
  const std::string path = cli::NewStorePath(line);
  const absl::StatusOr<std::unique_ptr<journal::Journal>> existing =
      journal::Journal::Open(path, {.create = false, .read_only = true});
  const bool made = absl::IsNotFound(existing.status());
  if (!made) NIMBUS_RETURN_IF_ERROR(existing.status());
  std::unique_ptr<journal::Journal> created;
  if (made) {
    NIMBUS_ASSIGN_OR_RETURN(created, journal::Journal::Open(path, {}));
    NIMBUS_RETURN_IF_ERROR(projections::AppendBuiltins(created.get()));
  }
  const schema::Uuid& id = made ? created->id() : (*existing)->id();
  if (line.json) {
    cli::PrintJson(schema::Json::MakeObject({{"store", schema::Json::String(path)},
                                             {"journal", schema::Json::String(id.ToString())},
                                             {"created", schema::Json::Bool(made)}}));
  } else {
    cli::Print("{} {} (journal {})\n", made ? "made store" : "store exists already:", path,
               id.ToString());
  }
  return cli::kHolds;
}

}  // namespace

void AddInitCommand(CLI::App* app, cli::CommandLine* line) {
  cli::AddCommand(app, line, "init",
                  "Make a store: --store, else $NIMBUS_STORE, else .nimbus in this directory",
                  [line] { return Init(*line); });
}

}  // namespace nimbus::tools
