// nimbus-replay step: going through an operation by hand, or from a script.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nimbus/replay/stepper.h"
#include "nimbus/schema/status.h"
#include "tools/cli/nearest.h"
#include "tools/cli/prompt.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus-replay/commands.h"
#include "tools/nimbus-replay/point.h"

namespace nimbus::tools {
namespace {

using replay::Stepper;
using schema::Error;
using schema::Json;
using schema::fb::EntityKind;
using Code = absl::StatusCode;

constexpr size_t kSummaryWidth = 160;
constexpr size_t kTextWidthMin = 8;
constexpr size_t kPieceBytes = 4096;

struct StepCommand {
  std::string operation;
  std::string at = "start";
};

// One line of input: a verb, and what follows it.
struct Line {
  std::string verb, rest;
};

Line Split(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return {};
  const size_t end = std::min(text.find_first_of(" \t", begin), text.size());
  const size_t rest = text.find_first_not_of(" \t", end);
  const size_t last = text.find_last_not_of(" \t\r");
  return {.verb = text.substr(begin, std::min(end, last + 1) - begin),
          .rest = rest == std::string::npos ? "" : text.substr(rest, last + 1 - rest)};
}

class Stepping {
 public:
  Stepping(const cli::CommandLine& line, const journal::Journal& journal, Stepper stepper)
      : line_(line), journal_(journal), stepper_(std::move(stepper)) {}

  // False to end.
  absl::StatusOr<bool> Do(const std::string& text) {
    const Line typed = Split(text);
    if (typed.verb.empty() || typed.verb.front() == '#') return true;
    for (const Verb& verb : kVerbs) {
      if (typed.verb != verb.name && typed.verb != verb.short_name) continue;
      if (verb.takes == Takes::kNothing && !typed.rest.empty()) {
        return Error(Code::kInvalidArgument, "'{}' takes nothing more", verb.name);
      }
      if (verb.takes == Takes::kText && typed.rest.empty()) {
        return Error(Code::kInvalidArgument, "'{}' what? See help", verb.name);
      }
      if (verb.name == "quit") return false;
      NIMBUS_RETURN_IF_ERROR((this->*verb.run)(typed.rest));
      return true;
    }
    return Error(Code::kInvalidArgument, "no command '{}'{}", cli::OneLine(typed.verb, 64),
                 Near(typed.verb));
  }

  absl::Status Where(const std::string&) {
    NIMBUS_ASSIGN_OR_RETURN(const auto info, stepper_.Info());
    if (line_.json) return PrintWhere(info);
    if (!info.has_value()) {
      cli::Print("at the start of {} steps\n", stepper_.steps());
      return absl::OkStatus();
    }
    NIMBUS_ASSIGN_OR_RETURN(const replay::StepRecord record, stepper_.Read());
    const std::string type = schema::fb::EnumNameStepType(info->type);
    cli::Print(
        "{} of {}  {}{}{}  {}\n",
        cli::Paint(cli::Style::kBold, fmt::format("step {}", info->number), std::cout),
        stepper_.steps(), type, info->tool_name.empty() ? "" : " ", info->tool_name,
        cli::Paint(cli::StyleOf(info->status), projections::StatusText(info->status), std::cout));
    PrintText("input ", cli::Summary(record.input));
    PrintText("output", cli::Summary(record.output));
    PrintText("error ", record.error);
    return absl::OkStatus();
  }

 private:
  enum class Takes { kNothing, kMaybe, kText };
  struct Verb {
    std::string_view name, short_name;
    Takes takes;
    absl::Status (Stepping::*run)(const std::string&);
    std::string_view usage, help;
  };

  static std::string Near(std::string_view typed) {
    std::vector<std::string> names;
    for (const Verb& verb : kVerbs) names.emplace_back(verb.name);
    return cli::DidYouMean(typed, names);
  }

  // On a line of the terminal, if there is one.
  static void PrintText(std::string_view name, const std::string& text) {
    if (text.empty()) return;
    const std::string begin = fmt::format("  {}  ", name);
    size_t width = kSummaryWidth;
    if (cli::IsTerminal(std::cout)) {
      width = std::max(kTextWidthMin,
                       cli::TerminalWidth() - std::min(cli::TerminalWidth(), begin.size()));
    }
    cli::Print("{}{}\n", begin, cli::OneLine(text, width));
  }

  absl::Status PrintWhere(const std::optional<replay::StepInfo>& info) {
    Json json = Json::MakeObject({{"operation", Json::String(stepper_.operation().ToString())},
                                  {"step", Json::Uint(stepper_.step())},
                                  {"steps", Json::Uint(stepper_.steps())},
                                  {"sequence", Json::Uint(stepper_.sequence())}});
    if (info.has_value()) {
      NIMBUS_ASSIGN_OR_RETURN(const replay::StepRecord record, stepper_.Read());
      json.Set("id", Json::String(info->id.ToString()));
      json.Set("type", Json::String(schema::fb::EnumNameStepType(info->type)));
      json.Set("tool_name", Json::String(info->tool_name));
      json.Set("status", Json::String(std::string(projections::StatusText(info->status))));
      json.Set("input", cli::JsonOrNull(record.input));
      json.Set("output", cli::JsonOrNull(record.output));
      json.Set("error", Json::String(record.error));
    }
    std::cout << json.Dump() << '\n';
    return absl::OkStatus();
  }

  // As a document: on one line with --json, else for people, who may interrupt it.
  absl::Status PrintValue(const Json& value) {
    const std::string text = (line_.json ? value.Dump() : value.DumpPretty()) + '\n';
    for (size_t at = 0; at < text.size() && !cli::Interrupted(); at += kPieceBytes) {
      std::cout << std::string_view(text).substr(at, kPieceBytes) << std::flush;
    }
    return absl::OkStatus();
  }

  absl::Status Next(const std::string&) {
    NIMBUS_ASSIGN_OR_RETURN(const bool moved, stepper_.Next());
    return moved ? Where({}) : Error(Code::kOutOfRange, "this is the last step that ended");
  }

  absl::Status Previous(const std::string&) {
    NIMBUS_ASSIGN_OR_RETURN(const bool moved, stepper_.Previous());
    return moved ? Where({}) : Error(Code::kOutOfRange, "this is the start");
  }

  absl::Status GoTo(const std::string& text) {
    NIMBUS_ASSIGN_OR_RETURN(const replay::Point point, SelectPoint(journal_, text));
    NIMBUS_RETURN_IF_ERROR(stepper_.GoTo(point));
    return Where({});
  }

  absl::Status State(const std::string& text) {
    NIMBUS_RETURN_IF_ERROR(CheckPointer(text));
    NIMBUS_ASSIGN_OR_RETURN(const replay::Pointer pointer, replay::ParsePointer(text));
    const Json* value = replay::FindValue(stepper_.state().document(), pointer);
    if (value == nullptr)
      return Error(Code::kNotFound, "the state has no {}", cli::OneLine(text, kSummaryWidth));
    return PrintValue(*value);
  }

  absl::Status Change(const std::string&) {
    NIMBUS_ASSIGN_OR_RETURN(const Json change, stepper_.Change());
    return PrintValue(change);
  }

  absl::Status Search(const std::string& text) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<std::string> found,
                            stepper_.Search(text, &cli::InterruptFlag()));
    if (!found.has_value())
      return Error(Code::kNotFound, "no step holds '{}'", cli::OneLine(text, kSummaryWidth));
    if (!line_.json) cli::Print("in its {}\n", *found);
    return Where({});
  }

  absl::Status Help(const std::string&) {
    for (const Verb& verb : kVerbs) {
      cli::Print("  {:<3}{:<18}{}\n", verb.short_name, verb.usage, verb.help);
    }
    return absl::OkStatus();
  }

  static const std::array<Verb, 9> kVerbs;

  const cli::CommandLine& line_;
  const journal::Journal& journal_;
  Stepper stepper_;
};

const std::array<Stepping::Verb, 9> Stepping::kVerbs = {{
    {"next", "n", Takes::kNothing, &Stepping::Next, "next", "to the next step"},
    {"prev", "p", Takes::kNothing, &Stepping::Previous, "prev", "to the step before"},
    {"goto", "g", Takes::kText, &Stepping::GoTo, "goto POINT",
     "to a step, checkpoint, start, end or last-failure"},
    {"state", "s", Takes::kMaybe, &Stepping::State, "state [POINTER]",
     "the state, or a part of it"},
    {"diff", "d", Takes::kNothing, &Stepping::Change, "diff", "what this step changed"},
    {"search", "/", Takes::kText, &Stepping::Search, "search TEXT",
     "to the next step that holds it"},
    {"where", "w", Takes::kNothing, &Stepping::Where, "where", "this step"},
    {"help", "?", Takes::kNothing, &Stepping::Help, "help", "this list"},
    {"quit", "q", Takes::kNothing, nullptr, "quit", "ends; so does the end of the input"},
}};

// A person may try again, and interrupts a command only; a script that goes wrong ends.
absl::StatusOr<int> Converse(cli::Prompt* prompt, Stepping* stepping) {
  for (uint64_t number = 1;; ++number) {
    const std::optional<std::string> text = prompt->Read();
    if (cli::Interrupted()) return cli::InterruptedError();
    if (!text.has_value()) break;
    const absl::StatusOr<bool> go_on = stepping->Do(*text);
    if (prompt->interactive() && cli::ForgetInterrupt()) std::cout << '\n';
    if (go_on.ok() && !*go_on) break;
    if (go_on.ok()) continue;
    if (!prompt->interactive()) {
      return schema::Annotate(go_on.status(), fmt::format("line {}", number));
    }
    if (!absl::IsCancelled(go_on.status())) cli::PrintError(go_on.status());
  }
  return cli::kHolds;
}

absl::StatusOr<int> Step(const cli::CommandLine& line, const StepCommand& command) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  NIMBUS_ASSIGN_OR_RETURN(const schema::Uuid operation,
                          cli::SelectEntity(*journal, EntityKind::operation, command.operation));
  NIMBUS_ASSIGN_OR_RETURN(const replay::Point point, SelectPoint(*journal, command.at));
  NIMBUS_ASSIGN_OR_RETURN(Stepper stepper, Stepper::Open(*journal, operation));
  NIMBUS_RETURN_IF_ERROR(stepper.GoTo(point));
  Stepping stepping(line, *journal, std::move(stepper));
  cli::Prompt prompt("step> ");
  if (prompt.interactive()) NIMBUS_RETURN_IF_ERROR(stepping.Where({}));
  return Converse(&prompt, &stepping);
}

}  // namespace

void AddStepCommand(CLI::App* app, cli::CommandLine* line) {
  auto command = std::make_shared<StepCommand>();
  CLI::App* add = cli::AddCommand(app, line, "step",
                                  "Go through an operation step by step, by hand or from a script",
                                  [line, command] { return Step(*line, *command); });
  AddOperationArgument(add, &command->operation);
  AddAtOption(add, &command->at)->capture_default_str();
  add->footer(
      "Reads commands, one a line, from standard input: next, prev, goto POINT, state [POINTER], "
      "diff, search TEXT, where, help, quit. Lines that begin with # are comments. From a script "
      "it ends at the first line that goes wrong, with the exit status of that. On a terminal it "
      "prompts; control-C gives up a line, a search or what is being printed, control-D ends.");
}

}  // namespace nimbus::tools
