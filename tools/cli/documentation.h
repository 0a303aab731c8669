// The two hidden commands with which a program documents itself:
//
//   nimbus completion bash|zsh|fish     the shell's completion script
//   nimbus man                          the man page
//
// The build runs them to install what they print (nimbus_program in
// tools/cmake/NimbusTargets.cmake).
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tools/cli/man.h"

namespace nimbus::tools::cli {

// Adds both commands to `app`, which must outlive the parse. They write to
// standard output while `app` parses; nothing is left to do after it.
void AddDocumentationCommands(CLI::App* app, std::string version, std::vector<ManSection> sections);

}  // namespace nimbus::tools::cli
