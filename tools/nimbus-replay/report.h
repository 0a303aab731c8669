// How the report of a replay looks to people.
#pragma once

#include <CLI/CLI.hpp>
#include <string_view>

#include "nimbus/replay/verify.h"
#include "tools/cli/command_line.h"
#include "tools/cli/terminal.h"

namespace nimbus::tools {

// What a verdict is called, how it looks, and what a command ends with.
std::string_view VerdictText(schema::fb::ReplayVerdict verdict);
cli::Style VerdictStyle(schema::fb::ReplayVerdict verdict);
cli::ExitCode VerdictCode(schema::fb::ReplayVerdict verdict);

// The report's divergence, with its difference, or what it misses; nothing if it holds.
void PrintWhyNot(const replay::ReplayReport& report);

// --strict and --receipt of a command that replays.
void AddVerifyFlags(CLI::App* command, bool* strict, bool* receipt);

}  // namespace nimbus::tools
