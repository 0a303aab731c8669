#include "tools/cli/command_tree.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace nimbus::tools::cli {
namespace {

// The words of "TEXT:{bash,zsh}" or "ENUM:value in {bash->0,zsh->1} OR {0,1}",
// which is how CLI11 describes its sets.
std::vector<std::string> ParseChoices(std::string_view type_name) {
  std::vector<std::string> choices;
  const size_t open = type_name.find('{');
  const size_t close = type_name.find('}', open);
  if (open == std::string_view::npos || close == std::string_view::npos) return choices;
  std::string_view rest = type_name.substr(open + 1, close - open - 1);
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    choices.emplace_back(item.substr(0, item.find("->")));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
  }
  return choices;
}

ValueKind KindOf(std::string_view type_name) {
  if (type_name.find('{') != std::string_view::npos) return ValueKind::kChoice;
  if (type_name.find("DIR") != std::string_view::npos) return ValueKind::kDirectory;
  if (type_name.find("FILE") != std::string_view::npos) return ValueKind::kFile;
  if (type_name.find("PATH") != std::string_view::npos) return ValueKind::kFile;
  return ValueKind::kText;
}

Argument MakeArgument(const CLI::Option& option) {
  Argument argument{
      .description = option.get_description(),
      .default_text = option.get_default_str(),
      .required = option.get_required(),
      .repeats = option.get_items_expected_max() > 1,
  };
  if (option.get_items_expected_max() > 0) {
    const std::string type_name = option.get_type_name();
    argument.value_name = type_name.substr(0, type_name.find_first_of(":("));
    argument.choices = ParseChoices(type_name);
    argument.value = KindOf(type_name);
  }
  return argument;
}

// The options and positionals of a command that help shows, those in option
// groups too, which CLI11 keeps as subcommands without a name.
std::vector<const CLI::Option*> ShownOptions(const CLI::App& app) {
  std::vector<const CLI::Option*> shown =
      app.get_options([](const CLI::Option* option) { return !option->get_group().empty(); });
  for (const CLI::App* group :
       app.get_subcommands([](const CLI::App* child) { return child->get_name().empty(); })) {
    const std::vector<const CLI::Option*> grouped = ShownOptions(*group);
    shown.insert(shown.end(), grouped.begin(), grouped.end());
  }
  return shown;
}

void AddOptions(const CLI::App& app, bool inherited, Command* command) {
  for (const CLI::Option* option : ShownOptions(app)) {
    if (!option->nonpositional()) continue;
    Argument argument = MakeArgument(*option);
    for (const std::string& name : option->get_snames()) argument.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) argument.names.push_back("--" + name);
    argument.inherited = inherited;
    command->options.push_back(std::move(argument));
  }
}

void AddPositionals(const CLI::App& app, Command* command) {
  for (const CLI::Option* option : ShownOptions(app)) {
    if (!option->get_positional()) continue;
    Argument argument = MakeArgument(*option);
    argument.names.push_back(option->get_name(/*positional=*/true));
    command->positionals.push_back(std::move(argument));
  }
}

void AddInheritedOptions(const CLI::App& app, Command* command) {
  for (const CLI::App* below = &app; below->get_fallthrough() && below->get_parent() != nullptr;
       below = below->get_parent()) {
    Command above;
    AddOptions(*below->get_parent(), /*inherited=*/true, &above);
    for (Argument& option : above.options) {
      // Every command has a --help of its own.
      const auto same = [&](const Argument& own) { return own.names == option.names; };
      if (std::none_of(command->options.begin(), command->options.end(), same)) {
        command->options.push_back(std::move(option));
      }
    }
  }
}

void AddCommands(const CLI::App& app, const std::string& above, std::vector<Command>* tree) {
  Command command{
      .path = above.empty() ? app.get_name() : above + " " + app.get_name(),
      .name = app.get_name(),
      .description = app.get_description(),
  };
  // CLI11 hands a command's footer down; it belongs to the one that has it first.
  const CLI::App* parent = app.get_parent();
  if (parent == nullptr || parent->get_footer() != app.get_footer()) {
    command.footer = app.get_footer();
  }
  AddOptions(app, /*inherited=*/false, &command);
  AddInheritedOptions(app, &command);
  AddPositionals(app, &command);
  const std::vector<const CLI::App*> subcommands = app.get_subcommands([](const CLI::App* child) {
    return !child->get_name().empty() && !child->get_group().empty();
  });
  for (const CLI::App* child : subcommands) command.subcommands.push_back(child->get_name());
  const std::string path = command.path;
  tree->push_back(std::move(command));
  for (const CLI::App* child : subcommands) AddCommands(*child, path, tree);
}

}  // namespace

std::vector<Command> CommandTree(const CLI::App& app) {
  std::vector<Command> tree;
  AddCommands(app, "", &tree);
  return tree;
}

}  // namespace nimbus::tools::cli
