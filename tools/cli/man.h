// The man page of a program, made from its CLI11 App.
#pragma once

#include <CLI/CLI.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace nimbus::tools::cli {

// What the App does not know.
struct ManSection {
  std::string title;  // "EXIT STATUS"
  std::string text;   // paragraphs apart by an empty line; indented lines stay as they are
};

// Writes a man(7) page of section 1: the program, its options, then every
// command with its own. `version` stands in the footer. The same App gives the
// same bytes: there is no date.
void WriteManPage(const CLI::App& app, const std::string& version,
                  const std::vector<ManSection>& sections, std::ostream& out);

}  // namespace nimbus::tools::cli
