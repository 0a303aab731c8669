#include "tools/cli/documentation.h"

#include <iostream>
#include <map>
#include <memory>
#include <utility>

#include "tools/cli/completion.h"

namespace nimbus::tools::cli {

void AddDocumentationCommands(CLI::App* app, std::string version,
                              std::vector<ManSection> sections) {
  static const std::map<std::string, Shell> kShells = {
      {"bash", Shell::kBash}, {"zsh", Shell::kZsh}, {"fish", Shell::kFish}};
  CLI::App* completion = app->add_subcommand("completion", "Print a shell's completion script");
  completion->group("");
  const auto shell = std::make_shared<std::string>();
  completion->add_option("SHELL", *shell, "The shell")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback([app, shell] { WriteCompletion(*app, kShells.at(*shell), std::cout); });

  CLI::App* man = app->add_subcommand("man", "Print the man page");
  man->group("");
  man->callback([app, version = std::move(version), sections = std::move(sections)] {
    WriteManPage(*app, version, sections, std::cout);
  });
}

}  // namespace nimbus::tools::cli
