// What the two commands that run a program share: `nimbus record` and `nimbus-replay exec`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tools/agent/secrets.h"
#include "tools/agent/server.h"

namespace nimbus::tools::agent {

// COMMAND… after "--": the program to run and its arguments.
void AddProgram(CLI::App* command, std::vector<std::string>* argv);

// --redact-env and --redact-from.
void AddRedactionOptions(CLI::App* command, SecretSources* sources);

// Says on standard error what the program sent that was no call, if anything.
void WarnOfRefusals(const Refusals& refusals);

}  // namespace nimbus::tools::agent
