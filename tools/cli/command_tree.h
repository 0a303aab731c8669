// What a program's command line offers, read off its CLI11 App, so that
// completions and man pages can never be out of date.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace nimbus::tools::cli {

// What follows an option, or what a positional argument is.
enum class ValueKind { kNone, kText, kChoice, kFile, kDirectory };

struct Argument {
  std::vector<std::string> names;  // "-n", "--limit"; a positional has its one name
  std::string description;
  std::string value_name;            // "N"; empty for a flag
  std::vector<std::string> choices;  // of kChoice
  std::string default_text;
  ValueKind value = ValueKind::kNone;
  bool required = false;
  bool repeats = false;    // takes any number of values
  bool inherited = false;  // an option of a command above that may also stand here
};

struct Command {
  std::string path;  // from the program on: "nimbus history list"
  std::string name;  // "list"
  std::string description;
  std::string footer;
  std::vector<Argument> options;
  std::vector<Argument> positionals;
  std::vector<std::string> subcommands;  // names, in the order they were added
};

// The program itself, then every command below it, each before its own
// subcommands. What CLI11 hides from help (an empty group) is left out.
std::vector<Command> CommandTree(const CLI::App& app);

}  // namespace nimbus::tools::cli
