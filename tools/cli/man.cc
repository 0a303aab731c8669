#include "tools/cli/man.h"

#include <fmt/format.h>

#include <cctype>
#include <cstdint>
#include <sstream>
#include <string_view>
#include <utility>

#include "tools/cli/command_tree.h"

namespace nimbus::tools::cli {
namespace {

// The code point at `text[at]`, which begins a well-formed UTF-8 character that
// is not ASCII, and its length.
std::pair<uint32_t, size_t> CodePointAt(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  uint32_t code_point = lead & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length && at + i < text.size(); ++i) {
    code_point = code_point << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3Fu);
  }
  return {code_point, length};
}

// Text as troff prints it unchanged, wherever in a line it stands.
std::string Escape(std::string_view text) {
  std::string escaped;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) >= 0x80) {
      const auto [code_point, length] = CodePointAt(text, i);
      escaped += fmt::format("\\[u{:04X}]", code_point);
      i += length - 1;
    } else if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";  // a hyphen that can be copied to a shell
    } else {
      escaped += c;
    }
  }
  // A control character at the start of a line would make it a request.
  if (escaped.starts_with('.') || escaped.starts_with('\'')) escaped.insert(0, "\\&");
  return escaped;
}

std::string Upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// An argument of a request: quoted, with quotes inside doubled.
std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : Escape(text)) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

void WriteText(const std::string& text, std::ostream& out) {
  std::istringstream lines(text);
  bool verbatim = false;
  for (std::string line; std::getline(lines, line);) {
    const bool indented = !line.empty() && std::isspace(static_cast<unsigned char>(line.front()));
    if (indented != verbatim) out << (indented ? ".nf\n" : ".fi\n");
    verbatim = indented;
    out << (line.empty() ? std::string(".PP") : Escape(line)) << "\n";
  }
  if (verbatim) out << ".fi\n";
}

std::string PositionalSynopsis(const Argument& argument) {
  const std::string& name = argument.names.front();
  return fmt::format("{}{}{}{}", argument.required ? "" : "[", name, argument.repeats ? "..." : "",
                     argument.required ? "" : "]");
}

std::string Synopsis(const Command& command) {
  std::string synopsis = command.path;
  if (!command.options.empty()) synopsis += " [OPTIONS]";
  for (const Argument& argument : command.positionals) {
    synopsis += " " + PositionalSynopsis(argument);
  }
  if (!command.subcommands.empty()) synopsis += " COMMAND";
  return synopsis;
}

void WriteArgument(const Argument& argument, std::ostream& out) {
  std::string head = fmt::format("{}", fmt::join(argument.names, ", "));
  const bool named = argument.names.front().starts_with('-');
  if (named && !argument.value_name.empty()) head += " " + argument.value_name;
  out << ".TP\n.B " << Quoted(head) << "\n";
  if (!argument.description.empty()) {
    const bool ended = std::ispunct(static_cast<unsigned char>(argument.description.back()));
    WriteText(argument.description + (ended ? "" : "."), out);
  }
  if (!argument.choices.empty()) {
    out << Escape(fmt::format("One of {}.", fmt::join(argument.choices, ", "))) << "\n";
  }
  if (!argument.default_text.empty()) {
    out << Escape(fmt::format("Default: {}.", argument.default_text)) << "\n";
  }
}

// What a command has that those above it have not: every command has --help.
void WriteArguments(const Command& command, bool is_program, std::ostream& out) {
  for (const Argument& argument : command.positionals) WriteArgument(argument, out);
  for (const Argument& option : command.options) {
    if (option.inherited || (!is_program && option.names.back() == "--help")) continue;
    WriteArgument(option, out);
  }
}

}  // namespace

void WriteManPage(const CLI::App& app, const std::string& version,
                  const std::vector<ManSection>& sections, std::ostream& out) {
  const std::vector<Command> tree = CommandTree(app);
  const Command& program = tree.front();
  out << ".TH " << Quoted(Upper(program.name)) << " 1 \"\" "
      << Quoted(fmt::format("{} {}", program.name, version)) << "\n";
  const std::string summary = program.description.substr(0, program.description.find('\n'));
  out << ".SH NAME\n" << Escape(program.name) << " \\- " << Escape(summary) << "\n";
  out << ".SH SYNOPSIS\n.B " << Quoted(Synopsis(program)) << "\n";
  out << ".SH DESCRIPTION\n";
  WriteText(program.description, out);
  if (!program.footer.empty()) {
    out << ".PP\n";
    WriteText(program.footer, out);
  }
  out << ".SH OPTIONS\n";
  WriteArguments(program, /*is_program=*/true, out);
  if (tree.size() > 1) out << ".SH COMMANDS\n";
  for (size_t i = 1; i < tree.size(); ++i) {
    out << ".SS " << Quoted(Synopsis(tree[i])) << "\n";
    WriteText(tree[i].description, out);
    WriteArguments(tree[i], /*is_program=*/false, out);
    if (!tree[i].footer.empty()) {
      out << ".PP\n";
      WriteText(tree[i].footer, out);
    }
  }
  for (const ManSection& section : sections) {
    out << ".SH " << Quoted(section.title) << "\n";
    WriteText(section.text, out);
  }
}

}  // namespace nimbus::tools::cli
