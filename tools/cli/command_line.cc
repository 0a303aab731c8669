#include "tools/cli/command_line.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string_view>
#include <utility>
#include <vector>

#include "nimbus/journal/prune.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "tools/cli/nearest.h"
#include "tools/cli/progress.h"
#include "tools/cli/terminal.h"

namespace nimbus::tools::cli {
namespace {

namespace fs = std::filesystem;
using schema::Error;
using Code = absl::StatusCode;

constexpr char kLocalStore[] = ".nimbus";
constexpr int64_t kCatchUpSliceMs = 200;
constexpr int kBusySlicesMax = 150;  // half a minute, in which nothing could be done
constexpr int64_t kAwaitViewsMs = 60'000;

std::atomic<bool> interrupted = false;
std::atomic<bool> terminated = false;  // by SIGTERM
std::string program_name = "nimbus";

// CLI11 makes several values of a word like "[a,b]" where an option takes many. With a
// mark behind it a word stays one.
constexpr char kWholeMark = '\x1f';

bool IsBracketed(std::string_view word) {
  const size_t last = word.find_last_not_of(kWholeMark);
  return word.starts_with('[') && last != std::string_view::npos && word[last] == ']';
}

// The words of a command line, the last one first, as CLI11 wants them.
std::vector<std::string> MarkedWords(int argc, char** argv) {
  std::vector<std::string> words;
  for (int i = argc - 1; i > 0; --i) words.emplace_back(argv[i]);
  for (std::string& word : words) {
    if (IsBracketed(word)) word += kWholeMark;
  }
  return words;
}

// Every option gets its words without the mark.
void UnmarkWords(CLI::App* app) {
  const auto unmark = [](std::string& word) -> std::string {
    if (IsBracketed(word) && word.back() == kWholeMark) word.pop_back();
    return {};
  };
  for (CLI::Option* option : app->get_options()) {
    option->transform(CLI::Validator(unmark, "", "unmark"));
  }
  for (CLI::App* command : app->get_subcommands(nullptr)) UnmarkWords(command);
}

std::string WithoutMarks(std::string text) {
  std::erase(text, kWholeMark);
  return text;
}

extern "C" void OnInterrupt(int signal) {
  interrupted = true;
  if (signal == SIGTERM) terminated = true;
  std::signal(signal, SIG_DFL);
}

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// The nearest .nimbus in the working directory or above it; empty if none.
std::string NearestStore() {
  std::error_code error;
  for (fs::path directory = fs::current_path(error); !error; directory = directory.parent_path()) {
    const fs::path candidate = directory / kLocalStore;
    if (fs::is_directory(candidate, error)) return candidate.string();
    if (directory == directory.parent_path()) break;
  }
  return {};
}

// `code`, unless what was printed did not get through.
int CodeAfterOutput(int code) {
  std::cout.flush();
  if (std::cout && std::fflush(stdout) == 0) return code;
  PrintError(Error(Code::kUnavailable, "standard output: write failed"));
  return kIoError;
}

// What somebody may have meant by a word that the command does not know.
std::string Near(const CLI::App* app, const std::string& word) {
  std::vector<std::string> known;
  for (const CLI::App* at = app; at != nullptr;) {
    const std::vector<CLI::App*> chosen = at->get_subcommands();
    if (word.starts_with('-')) {
      for (const CLI::Option* option : at->get_options()) {
        for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
      }
    } else if (chosen.empty()) {
      for (const CLI::App* command : at->get_subcommands([](const CLI::App*) { return true; })) {
        known.push_back(command->get_name());
      }
    }
    at = chosen.empty() ? nullptr : chosen.back();
  }
  return DidYouMean(word, known);
}

// Of the program and the command that was chosen.
std::vector<std::string> UnknownWords(const CLI::App* app) {
  std::vector<std::string> unknown = app->remaining(false);
  for (const CLI::App* chosen : app->get_subcommands()) {
    const std::vector<std::string> more = UnknownWords(chosen);
    unknown.insert(unknown.end(), more.begin(), more.end());
  }
  std::erase(unknown, "--");
  return unknown;
}

// The command line is wrong, or asked for help.
int ExitOf(const CLI::App* app, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = UnknownWords(app);
  const bool no_command = error.get_name() == "RequiredError";
  const bool extras = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError);
  if (!unknown.empty() && (no_command || extras)) {
    const std::string word = WithoutMarks(unknown.front());
    const std::string near = Near(app, word.substr(0, word.find('=')));
    PrintError(Error(Code::kInvalidArgument, "{} '{}'{}",
                     no_command ? "no command" : "unexpected argument", word,
                     near.empty() ? "; see --help" : near));
    return kUsage;
  }
  if (error.get_exit_code() != 0) std::cerr << program_name << ": ";
  if (app->exit(error, std::cout, std::cerr) == 0) return CodeAfterOutput(kHolds);
  return kUsage;
}

// A standard stream that is closed would lend its number to a file of the store,
// and what is printed would go there. Whoever prints to these gets an error.
void FillClosedStreams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    const int filler = open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    NIMBUS_CHECK(filler < 0 || filler == stream);  // open takes the lowest that is free
  }
}

absl::Status WithHint(const absl::Status& status, const std::string& store) {
  if (!absl::IsNotFound(status)) return status;
  return Error(Code::kNotFound,
               "no store at {}; make one with 'nimbus init' or name it with --store", store);
}

}  // namespace

int ExitCodeOf(const absl::Status& status) {
  if (journal::IsArchiveAbsent(status)) return kNotEnoughEvidence;
  switch (status.code()) {
    case Code::kOk:
      return kHolds;
    case Code::kNotFound:
    case Code::kOutOfRange:
      return kNotFound;
    case Code::kPermissionDenied:
    case Code::kResourceExhausted:
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kUnknown:
    case Code::kInternal:
      return kIoError;
    case Code::kCancelled:
      return kInterrupted;
    default:
      return kBadData;
  }
}

void AddGlobalOptions(CLI::App* app, CommandLine* line) {
  app->require_subcommand(1);
  app->fallthrough();
  app->add_option("--store", line->store,
                  "Store directory (default: $NIMBUS_STORE, the nearest .nimbus upwards, "
                  "$XDG_DATA_HOME/nimbus)")
      ->type_name("DIR");
  app->add_flag("--json", line->json, "Print JSON: one document, or one a line where it streams");
  app->add_option("--color", line->color, "Colour: auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->type_name("WHEN");
}

CLI::App* AddCommand(CLI::App* app, CommandLine* line, const std::string& name,
                     const std::string& description, std::function<absl::StatusOr<int>()> body) {
  CLI::App* command = app->add_subcommand(name, description);
  command->callback([line, body = std::move(body)] { line->command = body; });
  return command;
}

CLI::Validator IsCount() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        uint64_t count = 0;
        const char* end = text.data() + text.size();
        const auto [rest, error] = std::from_chars(text.data(), end, count);
        if (error != std::errc() || rest != end) return "'" + text + "' is no count";
        text = std::to_string(count);
        return {};
      },
      "", "count");
}

void AddPageOptions(CLI::App* command, Page* page) {
  command
      ->add_option("--limit", page->limit,
                   "At most so many (default: the preference history.max_entries)")
      ->transform(IsCount())
      ->type_name("COUNT");
  command->add_option("--offset", page->offset, "Pass over so many")
      ->transform(IsCount())
      ->capture_default_str();
}

void AddReasonOption(CLI::App* command, std::string* reason) {
  command->add_option("--reason", *reason, "Why, for the record")->type_name("TEXT");
}

int RunProgram(CLI::App* app, CommandLine* line, int argc, char** argv) {
  FillClosedStreams();
  program_name = app->get_name();
  UnmarkWords(app);
  app->failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return WithoutMarks(CLI::FailureMessage::simple(failed, error));
  });
  std::signal(SIGINT, OnInterrupt);
  std::signal(SIGTERM, OnInterrupt);
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is an error of the write, not an end
  try {
    app->parse(MarkedWords(argc, argv));
  } catch (const CLI::ParseError& error) {
    return ExitOf(app, error);
  }
  if (!line->command) return CodeAfterOutput(kHolds);  // the parse did it (man, completion)
  SetColor(line->color);
  const absl::StatusOr<int> code = line->command();
  if (!code.ok()) {
    // What was cut off by it says so in its own words, or as another failure.
    const bool cut_off = Interrupted() && absl::IsCancelled(code.status());
    PrintError(cut_off ? InterruptedError() : code.status());
    return ExitCodeOf(code.status());
  }
  return CodeAfterOutput(*code);
}

absl::StatusOr<std::string> StorePath(const CommandLine& line) {
  if (!line.store.empty()) return line.store;
  if (std::string store = Variable("NIMBUS_STORE"); !store.empty()) return store;
  if (std::string store = NearestStore(); !store.empty()) return store;
  if (const std::string data = Variable("XDG_DATA_HOME"); !data.empty()) return data + "/nimbus";
  if (const std::string home = Variable("HOME"); !home.empty()) {
    return home + "/.local/share/nimbus";
  }
  return Error(Code::kFailedPrecondition, "no store: give --store, or set $NIMBUS_STORE or $HOME");
}

std::string NewStorePath(const CommandLine& line) {
  if (!line.store.empty()) return line.store;
  if (std::string store = Variable("NIMBUS_STORE"); !store.empty()) return store;
  return kLocalStore;
}

namespace {

absl::StatusOr<std::unique_ptr<journal::Journal>> OpenExisting(const CommandLine& line,
                                                               bool read_only) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string store, StorePath(line));
  absl::StatusOr<std::unique_ptr<journal::Journal>> journal =
      journal::Journal::Open(store, {.create = false, .read_only = read_only});
  if (!journal.ok()) return WithHint(journal.status(), store);
  return journal;
}

}  // namespace

absl::StatusOr<std::unique_ptr<journal::Journal>> OpenJournal(const CommandLine& line) {
  return OpenExisting(line, /*read_only=*/true);
}

absl::StatusOr<std::unique_ptr<journal::Journal>> OpenJournalToWrite(const CommandLine& line) {
  return OpenExisting(line, /*read_only=*/false);
}

namespace {

absl::StatusOr<std::unique_ptr<projections::Database>> OpenCaughtUp(const CommandLine& line,
                                                                    bool read_only) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string store, StorePath(line));
  projections::DatabaseOptions options;
  options.journal.create = false;
  options.journal.read_only = read_only;
  absl::StatusOr<std::unique_ptr<projections::Database>> database =
      projections::Database::Open(store, options);
  if (!database.ok()) return WithHint(database.status(), store);

  Progress progress("building views");
  for (int busy = 0;;) {
    const absl::Status caught_up = (*database)->CatchUp(kCatchUpSliceMs);
    if (caught_up.ok()) return database;
    // Another process has the tables: the projector tries again, and so does this.
    busy = absl::IsUnavailable(caught_up) ? busy + 1 : 0;
    if (!absl::IsDeadlineExceeded(caught_up) && (busy == 0 || busy > kBusySlicesMax)) {
      return caught_up;
    }
    if (Interrupted()) return InterruptedError();
    NIMBUS_ASSIGN_OR_RETURN(const projections::ViewsStatus status, (*database)->GetViewsStatus());
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, (*database)->journal().Size());
    progress.Update(status.watermark, size);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<projections::Database>> OpenDatabase(const CommandLine& line) {
  return OpenCaughtUp(line, /*read_only=*/true);
}

absl::StatusOr<std::unique_ptr<projections::Database>> OpenDatabaseToWrite(
    const CommandLine& line) {
  return OpenCaughtUp(line, /*read_only=*/false);
}

absl::Status AwaitViews(projections::Database& database, const projections::Written& written) {
  return database.WaitFor(written.sequence, kAwaitViewsMs);
}

absl::StatusOr<std::unique_ptr<projections::Database>> OpenDatabaseAsIs(const CommandLine& line) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string store, StorePath(line));
  projections::DatabaseOptions options;
  options.journal.create = false;
  options.journal.read_only = true;
  options.views.project = false;
  absl::StatusOr<std::unique_ptr<projections::Database>> database =
      projections::Database::Open(store, options);
  if (!database.ok()) return WithHint(database.status(), store);
  return database;
}

std::vector<ManSection> CommonManSections() {
  return {
      {"STORE",
       "A store is a directory. It is the one --store names, else $NIMBUS_STORE, else the nearest "
       ".nimbus in the working directory or above it, else $XDG_DATA_HOME/nimbus "
       "(~/.local/share/nimbus)."},
      {"IDS",
       "An id may be given by its beginning, hyphens or not, as long as that names one thing. For "
       "operations, @ is the newest, @- the one before it, @-- the one before that."},
      {"OUTPUT",
       "Tables on a terminal; tab-separated, without header, with whole ids when piped; with "
       "--json "
       "one JSON document, or one a line where it streams. Progress goes to standard error, on a "
       "terminal only."},
      {"EXIT STATUS",
       "    0    it holds, it is done\n"
       "    1    proven wrong: divergence, tampering\n"
       "    2    not enough evidence\n"
       "    64   usage\n"
       "    65   bad data\n"
       "    66   not found, or ambiguous\n"
       "    74   input or output failed, or the disk is full\n"
       "    130  interrupted"},
      {"ENVIRONMENT",
       "NIMBUS_STORE, XDG_DATA_HOME, HOME: where the store is.\n\nNO_COLOR (not empty), TERM=dumb: "
       "no colour with --color auto."},
  };
}

void PrintError(const absl::Status& status) {
  const std::string_view message(status.message().data(), status.message().size());
  std::cerr << Paint(Style::kBad, program_name + ":", std::cerr) << ' ' << message << '\n';
}

bool Interrupted() { return interrupted; }

const std::atomic<bool>& InterruptFlag() { return interrupted; }

bool ForgetInterrupt() {
  if (!interrupted || terminated) return false;
  interrupted = false;
  std::signal(SIGINT, OnInterrupt);
  return true;
}

absl::Status InterruptedError() { return absl::CancelledError("interrupted"); }

}  // namespace nimbus::tools::cli
