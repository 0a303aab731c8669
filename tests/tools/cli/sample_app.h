// A small program in the shape of ours, whose completions and man page the
// tests look at.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

namespace nimbus::tools::cli {

struct SampleValues {
  std::string store, status, id;
  std::vector<std::string> files;
  int limit = 20;
  bool json = false;
};

// `values` must outlive the App.
inline std::unique_ptr<CLI::App> MakeSampleApp(SampleValues* values) {
  auto app = std::make_unique<CLI::App>("Record what agents do.\nIt isn't\\ever lost.", "sample");
  app->footer("See sample-replay(1).");
  app->add_option("--store", values->store, "Directory of the store")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory);
  app->add_flag("--secret-switch", values->json, "Not shown")->group("");
  CLI::App* history = app->add_subcommand("history", "Recorded operations");
  CLI::App* list = history->add_subcommand("list", "List operations, the user's newest first");
  list->fallthrough();
  history->fallthrough();
  list->add_option("--status", values->status, "Only of this status")
      ->check(CLI::IsMember({"pending", "running", "completed"}));
  list->add_option("-n,--limit", values->limit, "At most N")->type_name("N")->capture_default_str();
  CLI::App* show = history->add_subcommand("show", "Show one operation");
  show->add_option("ID", values->id, "Its id")->required();
  show->add_flag("--json", values->json, "As JSON");
  CLI::App* import = app->add_subcommand("import", "Import runs → [any] format");
  import->add_option("FILES", values->files, "Recordings")->required()->check(CLI::ExistingFile);
  app->add_subcommand("internal", "Not shown")->group("");
  return app;
}

}  // namespace nimbus::tools::cli
