// What to say of a program that has ended: to people, as JSON, and as an exit code.
#pragma once

#include <string>

#include "nimbus/schema/json.h"
#include "tools/agent/run.h"

namespace nimbus::tools::agent {

// "exited with 3", "was killed by signal 9 (Killed)".
std::string Describe(const AgentEnd& end);

// As a shell has it: the program's own, or 128 + the signal.
int ExitCodeOf(const AgentEnd& end);

// exit_code and signal, each null where the other says it.
void SetMembers(const AgentEnd& end, schema::Json* report);

// The command and its arguments, to be typed into a shell.
std::string ShellText(const std::vector<std::string>& argv);

}  // namespace nimbus::tools::agent
