// nimbus history search
#include <fmt/format.h>

#include <iostream>

#include "nimbus/projections/search.h"
#include "nimbus/schema/status.h"
#include "tools/cli/progress.h"
#include "tools/cli/select.h"
#include "tools/cli/show.h"
#include "tools/nimbus/commands.h"

namespace nimbus::tools {
namespace {

using projections::Search;
using projections::SearchHit;
using schema::Json;
using schema::fb::EntityKind;

constexpr int64_t kSliceMs = 250;
constexpr size_t kSnippetWidth = 240;

struct SearchOptions {
  std::vector<std::string> words;
  std::string session, operation;
  uint64_t limit = 20;
  uint64_t offset = 0;
};

absl::StatusOr<projections::SearchQuery> QueryOf(const journal::Journal& journal,
                                                 const SearchOptions& options) {
  projections::SearchQuery query{.limit = options.limit, .offset = options.offset};
  for (const std::string& word : options.words)
    query.text += (query.text.empty() ? "" : " ") + word;
  if (!options.session.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(query.session,
                            cli::SelectEntity(journal, EntityKind::session, options.session));
  }
  if (!options.operation.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(query.operation,
                            cli::SelectEntity(journal, EntityKind::operation, options.operation));
  }
  return query;
}

// Indexes what the journal has got since somebody last searched.
absl::Status CatchUp(const journal::Journal& journal, Search* search) {
  cli::Progress progress("indexing");
  for (;;) {
    const absl::Status caught_up = search->CatchUp(kSliceMs);
    if (!absl::IsDeadlineExceeded(caught_up)) return caught_up;
    if (cli::Interrupted()) return cli::InterruptedError();
    NIMBUS_ASSIGN_OR_RETURN(const projections::ViewsStatus status, search->GetStatus());
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal.Size());
    progress.Update(status.watermark, size);
  }
}

// The snippet on one line, its matches in bold, or as `begin` and `end` say.
std::string Marked(const std::string& snippet, std::string_view begin, std::string_view end) {
  std::string text;
  for (const char c : snippet) {
    if (c == projections::kMatchBegin) {
      text += begin;
    } else if (c == projections::kMatchEnd) {
      text += end;
    } else {
      text += c;
    }
  }
  return text;
}

std::string PlainSnippet(const SearchHit& hit) { return Marked(hit.snippet, "", ""); }

std::string ShownSnippet(const SearchHit& hit) {
  if (hit.snippet.empty()) return "(erased)";
  // Control characters go first: the marks are two of them.
  std::string safe;
  size_t at = 0;
  for (size_t mark = 0; mark != std::string::npos; at = mark + 1) {
    mark = hit.snippet.find_first_of("\x02\x03", at);
    safe += cli::OneLine(hit.snippet.substr(at, mark == std::string::npos ? mark : mark - at),
                         kSnippetWidth);
    if (mark == std::string::npos) break;
    safe += hit.snippet[mark];
  }
  const std::string bold = cli::Paint(cli::Style::kBold, "\x02", std::cout);
  const size_t inside = bold.find('\x02');
  return Marked(safe, bold.substr(0, inside), bold.substr(inside + 1));
}

Json ToJson(const SearchHit& hit) {
  return Json::MakeObject(
      {{"sequence", Json::Uint(hit.sequence)},
       {"operation_id", Json::String(hit.operation.ToString())},
       {"step_id", hit.step ? Json::String(hit.step->ToString()) : Json()},
       {"field", hit.field.empty() ? Json() : Json::String(hit.field)},
       {"snippet", hit.snippet.empty() ? Json() : Json::String(PlainSnippet(hit))},
       {"rank", Json::Double(hit.rank)},
       {"time", cli::JsonTime(hit.time_us)}});
}

absl::StatusOr<int> RunSearch(const cli::CommandLine& line, const SearchOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const auto journal, cli::OpenJournal(line));
  NIMBUS_ASSIGN_OR_RETURN(const projections::SearchQuery query, QueryOf(*journal, options));
  NIMBUS_ASSIGN_OR_RETURN(const auto search, Search::Open(journal.get(), {}));
  NIMBUS_RETURN_IF_ERROR(CatchUp(*journal, search.get()));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<SearchHit> hits, search->Find(query));
  if (line.json) {
    Json::Array rows;
    for (const SearchHit& hit : hits) rows.push_back(ToJson(hit));
    cli::PrintJson(Json::MakeArray(std::move(rows)));
    return cli::kHolds;
  }
  cli::Table table({"OPERATION", "TIME", "RECORD", "IN", "MATCH"});
  for (const SearchHit& hit : hits) {
    std::string id = hit.operation.ToString();
    if (cli::IsTerminal(std::cout)) {
      NIMBUS_ASSIGN_OR_RETURN(id, cli::ShortId(*journal, EntityKind::operation, hit.operation));
    }
    table.Add({{std::move(id)},
               {cli::ShowTime(hit.time_us)},
               {fmt::format("{}", hit.sequence), cli::Style::kPlain, true},
               {hit.field.empty() ? "-" : hit.field},
               {ShownSnippet(hit)}});
  }
  table.Print(std::cout);
  return cli::kHolds;
}

}  // namespace

void AddHistorySearchCommand(CLI::App* history, cli::CommandLine* line) {
  auto options = std::make_shared<SearchOptions>();
  CLI::App* search = cli::AddCommand(history, line, "search",
                                     "Search inputs, outputs and errors, best match first",
                                     [line, options] { return RunSearch(*line, *options); });
  search->add_option("QUERY", options->words, "Words, all of which must be there")->required();
  search->add_option("--session", options->session, "Only in this session")->type_name("ID");
  search->add_option("--operation", options->operation, "Only in this operation")->type_name("ID");
  search->add_option("--limit", options->limit, "At most so many")
      ->transform(cli::IsCount())
      ->capture_default_str();
  search->add_option("--offset", options->offset, "Pass over so many")
      ->transform(cli::IsCount())
      ->capture_default_str();
  search->footer(
      "\"disk full\" finds the words next to each other, depl* a word that begins so; NOT is "
      "-word, "
      "after --; error:timeout looks in errors only, input: and output: likewise. The first search "
      "indexes the whole journal, each later one what is new.");
}

}  // namespace nimbus::tools
