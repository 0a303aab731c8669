// Shell completions of a program, made from its CLI11 App: commands, options,
// the words of an option that takes one of a set, files and directories.
#pragma once

#include <CLI/CLI.hpp>
#include <ostream>

namespace nimbus::tools::cli {

enum class Shell { kBash, kZsh, kFish };

// Writes the script that the shell loads. `app` is the program; its name is
// the command completed. The same App gives the same bytes.
void WriteCompletion(const CLI::App& app, Shell shell, std::ostream& out);

}  // namespace nimbus::tools::cli
