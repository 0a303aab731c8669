#include "tools/agent/command.h"

#include <fmt/format.h>

#include <iostream>

#include "tools/cli/terminal.h"

namespace nimbus::tools::agent {

void AddProgram(CLI::App* command, std::vector<std::string>* argv) {
  command->add_option("COMMAND", *argv, "The program and its arguments, after --")->required();
}

void AddRedactionOptions(CLI::App* command, SecretSources* sources) {
  command
      ->add_option("--redact-env", sources->variables,
                   "Variable of the environment whose value is a secret: it is never journaled")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->add_option("--redact-from", sources->files, "File of such secrets, one a line")
      ->type_name("FILE")
      ->allow_extra_args(false);
}

void WarnOfRefusals(const Refusals& refusals) {
  const auto warn = [](const std::string& what) {
    std::cerr << cli::Paint(cli::Style::kWarn, "warning:", std::cerr) << ' ' << what << '\n';
  };
  if (refusals.notifications > 0) {
    warn(fmt::format("{} notifications of the program were not executed: a call has an id",
                     refusals.notifications));
  }
  if (refusals.lines > 0) {
    warn(fmt::format("{} lines of the program were no calls", refusals.lines));
  }
}

}  // namespace nimbus::tools::agent
