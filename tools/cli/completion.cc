#include "tools/cli/completion.h"

#include <fmt/format.h>

#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "tools/cli/command_tree.h"

namespace nimbus::tools::cli {
namespace {

// In bash and zsh.
std::string Quote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += R"('\'')";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string QuoteFish(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

// A name in all three shells.
std::string Identifier(std::string_view name) {
  std::string id = "_";
  for (const char c : name) id += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return id;
}

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string Join(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

// What a script must know to read a command line: the commands below the
// program, and the options that take a value, each with its command's path.
struct Paths {
  std::vector<std::string> commands;
  std::vector<std::string> valued;
};

Paths FindPaths(const std::vector<Command>& tree) {
  Paths paths;
  for (const Command& command : tree) {
    if (&command != &tree.front()) paths.commands.push_back(command.path);
    for (const Argument& option : command.options) {
      if (option.value == ValueKind::kNone) continue;
      for (const std::string& name : option.names) {
        paths.valued.push_back(command.path + " " + name);
      }
    }
  }
  return paths;
}

// Bash and zsh read the words before the cursor alike: `command` becomes the
// command reached, `value` the option whose value is due.
void WriteScan(const Paths& paths, std::string_view first, std::string_view end,
               std::string_view word, std::ostream& out) {
  out << fmt::format("  for ((i = {}; i < {}; i++)); do\n    word={}\n", first, end, word)
      << "    if [[ -n $value ]]; then\n      value=''\n      continue\n    fi\n"
      << "    case \"$command $word\" in\n";
  for (const std::string& path : paths.commands) {
    out << "      " << Quote(path) << ") command=\"$command $word\" ;;\n";
  }
  for (const std::string& path : paths.valued) {
    out << "      " << Quote(path) << ") value=$word ;;\n";
  }
  out << "    esac\n  done\n";
}

std::string_view KindName(const Argument& argument) {
  if (argument.value == ValueKind::kFile) return "file";
  if (argument.value == ValueKind::kDirectory) return "directory";
  return "";
}

// The first positional a shell can offer something for; a text without choices
// when there is none.
Argument CompletablePositional(const Command& command) {
  for (const Argument& positional : command.positionals) {
    if (positional.value != ValueKind::kText) return positional;
  }
  return {};
}

// One assignment list per command and per option that takes a value, common to
// bash and zsh: `words` to choose from, `kind` of path.
std::string Offer(const Argument& argument) {
  return fmt::format("words={} kind={}", Quote(Join(argument.choices)), Quote(KindName(argument)));
}

void WriteValueCases(const Command& command, std::ostream& out) {
  for (const Argument& option : command.options) {
    if (option.value == ValueKind::kNone) continue;
    for (const std::string& name : option.names) {
      out << "    " << Quote(command.path + " " + name) << ") " << Offer(option) << " ;;\n";
    }
  }
}

void WriteBash(const std::vector<Command>& tree, std::ostream& out) {
  const std::string& program = tree.front().name;
  const std::string function = Identifier(program);
  out << "# bash completion for " << program << "\n"
      << function << "() {\n"
      << "  local cur=${COMP_WORDS[COMP_CWORD]} command=" << program << " value='' word i\n"
      << "  local words='' options='' kind=''\n";
  WriteScan(FindPaths(tree), "1", "COMP_CWORD", "${COMP_WORDS[i]}", out);
  out << "  case \"$command${value:+ $value}\" in\n";
  for (const Command& command : tree) {
    std::vector<std::string> options;
    for (const Argument& option : command.options) {
      options.insert(options.end(), option.names.begin(), option.names.end());
    }
    const Argument positional = CompletablePositional(command);
    std::vector<std::string> words = command.subcommands;
    words.insert(words.end(), positional.choices.begin(), positional.choices.end());
    out << "    " << Quote(command.path) << ") words=" << Quote(Join(words))
        << " options=" << Quote(Join(options)) << " kind=" << Quote(KindName(positional))
        << " ;;\n";
    WriteValueCases(command, out);
  }
  out << "  esac\n"
         "  if [[ -z $value && $cur == -* ]]; then\n"
         "    words=$options kind=''\n"
         "  fi\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
         "  case $kind in\n"
         "    file) mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
         "    directory) mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -d -- \"$cur\") "
         ";;\n"
         "  esac\n"
         "  if [[ -n $kind ]]; then\n"
         "    compopt -o filenames 2> /dev/null\n"
         "  fi\n"
         "}\n"
      << "complete -F " << function << " " << program << "\n";
}

// "name:description" entries of zsh's _describe.
std::string Described(std::string_view name, const std::string& description) {
  return Quote(fmt::format("{}:{}", name, FirstLine(description)));
}

void WriteZshCommand(const Command& command, const std::vector<Command>& tree, std::ostream& out) {
  out << "    " << Quote(command.path) << ")\n      commands=(";
  for (const std::string& name : command.subcommands) {
    for (const Command& child : tree) {
      if (child.path == command.path + " " + name) out << Described(name, child.description) << " ";
    }
  }
  out << ")\n      options=(";
  for (const Argument& option : command.options) {
    for (const std::string& name : option.names) out << Described(name, option.description) << " ";
  }
  out << ")\n";
  out << "      " << Offer(CompletablePositional(command)) << "\n";
  out << "      ;;\n";
}

void WriteZsh(const std::vector<Command>& tree, std::ostream& out) {
  const std::string& program = tree.front().name;
  const std::string function = Identifier(program);
  out << "#compdef " << program << "\n"
      << function
      << "() {\n"
      // _describe and _files read the shell's own array `words`.
      << "  local -a line commands options\n  line=(\"${words[@]}\")\n"
      << "  local command=" << program << " value='' word i words='' kind=''\n";
  WriteScan(FindPaths(tree), "2", "CURRENT", "${line[i]}", out);
  out << "  case \"$command${value:+ $value}\" in\n";
  for (const Command& command : tree) {
    WriteZshCommand(command, tree, out);
    WriteValueCases(command, out);
  }
  out << "  esac\n"
         "  if [[ -z $value && $PREFIX == -* ]]; then\n"
         "    _describe -o option options\n"
         "    return\n"
         "  fi\n"
         "  ((${#commands})) && _describe command commands\n"
         "  [[ -n $words ]] && compadd -- ${=words}\n"
         "  case $kind in\n"
         "    file) _files ;;\n"
         "    directory) _files -/ ;;\n"
         "  esac\n"
         "}\n"
      // Loaded by compinit as a function named after the file, or sourced.
      << "if [[ ${funcstack[1]} == _" << program << " ]]; then\n  " << function
      << " \"$@\"\nelse\n  compdef " << function << " " << program << "\nfi\n";
}

void WriteFishOption(const std::string& complete, const Argument& option, std::ostream& out) {
  out << complete;
  for (const std::string& name : option.names) {
    const bool is_long = name.starts_with("--");
    out << (is_long ? " -l " : " -s ") << name.substr(is_long ? 2 : 1);
  }
  if (option.value == ValueKind::kFile) {
    out << " -r -F";
  } else if (option.value == ValueKind::kDirectory) {
    out << " -x -a '(__fish_complete_directories)'";
  } else if (option.value != ValueKind::kNone) {
    out << " -x";
    if (!option.choices.empty()) out << " -a " << QuoteFish(Join(option.choices));
  }
  out << " -d " << QuoteFish(FirstLine(option.description)) << "\n";
}

void WriteFishCommand(const Command& command, const std::vector<Command>& tree, std::ostream& out) {
  const std::string& program = tree.front().name;
  const std::string condition = Identifier(program) + "_at " + QuoteFish(command.path);
  const std::string complete = fmt::format("complete -c {} -n {}", program, QuoteFish(condition));
  for (const Command& child : tree) {
    if (child.path != command.path + " " + child.name) continue;
    out << complete << " -a " << child.name << " -d " << QuoteFish(FirstLine(child.description))
        << "\n";
  }
  for (const Argument& option : command.options) WriteFishOption(complete, option, out);
  const Argument positional = CompletablePositional(command);
  if (positional.value == ValueKind::kFile) out << complete << " -F\n";
  if (positional.value == ValueKind::kDirectory) {
    out << complete << " -a '(__fish_complete_directories)'\n";
  }
  if (!positional.choices.empty()) {
    out << complete << " -a " << QuoteFish(Join(positional.choices)) << "\n";
  }
}

void WriteFish(const std::vector<Command>& tree, std::ostream& out) {
  const std::string& program = tree.front().name;
  const Paths paths = FindPaths(tree);
  out << "# fish completion for " << program << "\n"
      << "function " << Identifier(program) << "_at\n"
      << "  set -l command " << program << "\n"
      << "  set -l value ''\n"
         "  for word in (commandline -opc)[2..]\n"
         "    if test -n \"$value\"\n      set value ''\n      continue\n    end\n"
         "    switch \"$command $word\"\n";
  for (const std::string& path : paths.commands) {
    out << "      case " << QuoteFish(path) << "\n        set command \"$command $word\"\n";
  }
  for (const std::string& path : paths.valued) {
    out << "      case " << QuoteFish(path) << "\n        set value $word\n";
  }
  out << "    end\n  end\n  test \"$command\" = \"$argv[1]\"\nend\n"
      << "complete -c " << program << " -f\n";
  for (const Command& command : tree) WriteFishCommand(command, tree, out);
}

}  // namespace

void WriteCompletion(const CLI::App& app, Shell shell, std::ostream& out) {
  const std::vector<Command> tree = CommandTree(app);
  switch (shell) {
    case Shell::kBash:
      return WriteBash(tree, out);
    case Shell::kZsh:
      return WriteZsh(tree, out);
    case Shell::kFish:
      return WriteFish(tree, out);
  }
}

}  // namespace nimbus::tools::cli
