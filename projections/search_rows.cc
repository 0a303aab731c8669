#include "search_rows.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "nimbus/schema/json.h"
#include "rows.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using fb::Event;
using schema::Error;
using schema::Uuid;

// The index has no content of its own: the journal has it.
constexpr Migration kMigrations[] = {
    {1, "search_index", R"(
  CREATE VIRTUAL TABLE search_text USING fts5(input, output, error,
    content='', tokenize='unicode61 remove_diacritics 2');
  CREATE TABLE search_documents (
    sequence INTEGER PRIMARY KEY,  -- the rowid in search_text
    operation BLOB NOT NULL
  );
  CREATE TABLE search_operations (
    operation BLOB PRIMARY KEY,
    session BLOB NOT NULL
  ) WITHOUT ROWID;)",
     "DROP TABLE search_operations; DROP TABLE search_documents; DROP TABLE search_text;"}};

std::span<const uint8_t> Bytes(const Uuid& id) { return id.bytes; }

class SearchWriter : public RowWriter {
 public:
  static absl::StatusOr<std::unique_ptr<RowWriter>> Create(sqlite::Connection* database) {
    std::unique_ptr<SearchWriter> writer(new SearchWriter);
    NIMBUS_RETURN_IF_ERROR(PrepareAll(
        database, {{&writer->insert_operation_,
                    "INSERT INTO search_operations (operation, session) VALUES (?, ?)"},
                   {&writer->insert_document_,
                    "INSERT INTO search_documents (sequence, operation) VALUES (?, ?)"},
                   {&writer->insert_text_,
                    "INSERT INTO search_text (rowid, input, output, error) VALUES (?, ?, ?, ?)"}}));
    return writer;
  }

  bool NeedsBody(Event type) const override {
    switch (type) {
      case Event::OperationCreated:
      case Event::OperationCompleted:
      case Event::OperationFailed:
      case Event::OperationCancelled:
      case Event::StepAdded:
      case Event::StepCompleted:
      case Event::StepFailed:
      case Event::StepCancelled:
      case Event::StepAttemptFailed:
        return true;
      default:
        return false;
    }
  }

  absl::Status Apply(const AppliedRecord& record) override {
    const Uuid operation = record.stream();
    if (const auto* created = record.record().event_as_OperationCreated()) {
      const Uuid session = Uuid::FromFb(*created->session());
      NIMBUS_RETURN_IF_ERROR(insert_operation_->Run(Bytes(operation), Bytes(session)));
    }
    const SearchTexts texts = TextsOf(record.body);
    if (texts.input.empty() && texts.output.empty() && texts.error.empty()) {
      return absl::OkStatus();
    }
    NIMBUS_RETURN_IF_ERROR(insert_document_->Run(record.rowid(), Bytes(operation)));
    return insert_text_->Run(record.rowid(), texts.input, texts.output, texts.error);
  }

 private:
  std::optional<sqlite::Statement> insert_operation_, insert_document_, insert_text_;
};

constexpr Domain kDomains[] = {
    {1, Event::OperationCreated, Event::StepCancelled, &SearchWriter::Create},
    {1, Event::StepAttemptFailed, Event::StepAttemptFailed, &SearchWriter::Create}};

// The string token that begins at `at`, with its quotes.
std::string_view StringToken(std::string_view json, size_t at) {
  size_t end = at + 1;
  while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
  return json.substr(at, std::min(end + 1, json.size()) - at);
}

bool IsMemberName(std::string_view json, size_t after) {
  while (after < json.size() && std::isspace(static_cast<unsigned char>(json[after]))) ++after;
  return after < json.size() && json[after] == ':';
}

void AppendWord(std::string_view word, std::string* text) {
  if (!text->empty()) text->push_back(' ');
  text->append(word.substr(0, kSearchedBytesMax - std::min(kSearchedBytesMax, text->size())));
}

void AppendStringToken(std::string_view token, std::string* text) {
  const std::string_view inside = token.substr(1, token.size() - 2);
  if (inside.find('\\') == std::string_view::npos) return AppendWord(inside, text);
  const absl::StatusOr<schema::Json> value = schema::Json::Parse(token);
  if (value.ok()) AppendWord(value->string(), text);
}

std::string SearchText(const flatbuffers::String* json) {
  std::string text;
  if (json != nullptr) AppendSearchText(json->string_view(), &text);
  return text;
}

// One term of a query: "error:", then a word or a phrase.
struct Term {
  std::string column;  // empty for any
  std::string words;
  bool excluded = false, prefix = false;
};

std::string ToFts(const Term& term) {
  std::string quoted = "\"";
  for (const char c : term.words) quoted += c == '"' ? "\"\"" : std::string(1, c);
  quoted += term.prefix ? "\"*" : "\"";
  return term.column.empty() ? quoted : fmt::format("{} : {}", term.column, quoted);
}

std::string TakeColumn(std::string_view* rest) {
  for (const std::string_view column : {"input", "output", "error"}) {
    if (rest->size() > column.size() && rest->starts_with(column) &&
        (*rest)[column.size()] == ':') {
      rest->remove_prefix(column.size() + 1);
      return std::string(column);
    }
  }
  return "";
}

absl::StatusOr<Term> TakeTerm(std::string_view* rest) {
  Term term;
  if (rest->size() > 1 && rest->front() == '-') {
    term.excluded = true;
    rest->remove_prefix(1);
  }
  term.column = TakeColumn(rest);
  if (rest->starts_with('"')) {
    const size_t end = rest->find('"', 1);
    if (end == std::string_view::npos) {
      return Error(absl::StatusCode::kInvalidArgument, "the quote in the query is not closed");
    }
    term.words = rest->substr(1, end - 1);
    rest->remove_prefix(end + 1);
  } else {
    const size_t end = std::min(rest->find_first_of(" \t\n\r"), rest->size());
    term.words = rest->substr(0, end);
    rest->remove_prefix(end);
  }
  if (rest->starts_with('*')) rest->remove_prefix(1), term.prefix = true;
  if (term.words.ends_with('*')) term.words.pop_back(), term.prefix = true;
  return term;
}

// Whether FTS5 finds a word in it: without one a term matches nothing, or everything.
bool HasWord(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || static_cast<unsigned char>(c) >= 0x80;
  });
}

}  // namespace

std::span<const Migration> SearchMigrations() { return kMigrations; }

std::span<const Domain> SearchDomains() { return kDomains; }

SearchTexts TextsOf(const fb::Body* body) {
  SearchTexts texts;
  if (body == nullptr) return texts;
  texts.input = SearchText(body->input());
  texts.output = SearchText(body->output());
  if (body->error() != nullptr) AppendWord(body->error()->string_view(), &texts.error);
  return texts;
}

void AppendSearchText(std::string_view json, std::string* text) {
  for (size_t at = 0; at < json.size() && text->size() < kSearchedBytesMax;) {
    const char c = json[at];
    if (c == '"') {
      const std::string_view token = StringToken(json, at);
      at += token.size();
      if (!IsMemberName(json, at)) AppendStringToken(token, text);
    } else if (c == '-' || std::isdigit(static_cast<unsigned char>(c))) {
      const size_t end = std::min(json.find_first_not_of("+-.0123456789eE", at), json.size());
      AppendWord(json.substr(at, end - at), text);
      at = end;
    } else {
      ++at;
    }
  }
}

absl::StatusOr<std::string> MatchExpression(std::string_view query) {
  std::string wanted, excluded;
  for (std::string_view rest = query;;) {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\n\r"), rest.size()));
    if (rest.empty()) break;
    NIMBUS_ASSIGN_OR_RETURN(const Term term, TakeTerm(&rest));
    if (!HasWord(term.words)) continue;
    std::string* const to = term.excluded ? &excluded : &wanted;
    if (!to->empty()) to->append(term.excluded ? " OR " : " AND ");
    to->append(ToFts(term));
  }
  if (wanted.empty()) {
    return Error(absl::StatusCode::kInvalidArgument, "the query '{}' has no word to look for",
                 query);
  }
  return excluded.empty() ? wanted : fmt::format("({}) NOT ({})", wanted, excluded);
}

absl::StatusOr<SearchReader> SearchReader::Create(sqlite::Connection* database) {
  SearchReader reader;
  NIMBUS_RETURN_IF_ERROR(PrepareAll(
      database,
      {{&reader.find_,
        "SELECT search_text.rowid, search_text.rank FROM search_text "
        "JOIN search_documents ON sequence = search_text.rowid "
        "JOIN search_operations USING (operation) "
        "WHERE search_text MATCH ?1 AND (?2 IS NULL OR session = ?2) "
        "AND (?3 IS NULL OR operation = ?3) ORDER BY rank, search_text.rowid DESC LIMIT ?4 "
        "OFFSET ?5"}}));
  return reader;
}

absl::StatusOr<std::vector<SearchRow>> SearchReader::Find(const std::string& match,
                                                          const SearchQuery& query) {
  std::optional<std::span<const uint8_t>> session, operation;
  if (query.session) session = Bytes(*query.session);
  if (query.operation) operation = Bytes(*query.operation);
  std::vector<SearchRow> rows;
  absl::StatusOr<bool> found =
      find_->First(match, session, operation, SqlCount(query.limit), SqlCount(query.offset));
  for (; found.ok() && *found; found = find_->Next()) {
    rows.push_back({.sequence = static_cast<uint64_t>(find_->Int(0)), .rank = find_->Real(1)});
  }
  NIMBUS_RETURN_IF_ERROR(found.status());
  return rows;
}

absl::StatusOr<Snippets> Snippets::Create() {
  NIMBUS_ASSIGN_OR_RETURN(sqlite::Connection database, sqlite::Connection::Open(":memory:", {}));
  NIMBUS_RETURN_IF_ERROR(
      database.Execute("CREATE VIRTUAL TABLE one USING fts5(input, output, error, "
                       "tokenize='unicode61 remove_diacritics 2')"));
  Snippets snippets(std::move(database));
  NIMBUS_RETURN_IF_ERROR(PrepareAll(
      &snippets.database_,
      {{&snippets.clear_, "DELETE FROM one"},
       {&snippets.insert_, "INSERT INTO one (rowid, input, output, error) VALUES (1, ?, ?, ?)"},
       {&snippets.select_,
        "SELECT snippet(one, 0, char(2), char(3), '…', 16), "
        "snippet(one, 1, char(2), char(3), '…', 16), "
        "snippet(one, 2, char(2), char(3), '…', 16) FROM one WHERE one MATCH ?"}}));
  return snippets;
}

absl::StatusOr<Snippets::Snippet> Snippets::Of(const SearchTexts& texts, const std::string& match) {
  NIMBUS_RETURN_IF_ERROR(clear_->Run());
  NIMBUS_RETURN_IF_ERROR(insert_->Run(texts.input, texts.output, texts.error));
  NIMBUS_ASSIGN_OR_RETURN(const bool found, select_->First(match));
  Snippet snippet;
  constexpr const char* kFields[] = {"input", "output", "error"};
  for (int i = 0; found && i < 3; ++i) {
    const std::string_view text = select_->Text(i);
    if (text.find(kMatchBegin) == std::string_view::npos) continue;
    snippet = {.field = kFields[i], .text = std::string(text)};
    break;
  }
  select_->Reset();
  return snippet;
}

}  // namespace nimbus::projections
