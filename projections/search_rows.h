// The full-text index: written from events, and asked. All SQL about it is in
// search_rows.cc.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domains.h"
#include "migrator.h"
#include "nimbus/projections/search.h"
#include "sqlite.h"

namespace nimbus::projections {

std::span<const Migration> SearchMigrations();
std::span<const Domain> SearchDomains();

// The texts of one record, as they are indexed.
struct SearchTexts {
  std::string input, output, error;
};
SearchTexts TextsOf(const schema::fb::Body* body);

// Appends to `text` the strings and numbers in a JSON value, not the names of
// members, up to kSearchedBytesMax. Requires valid JSON.
void AppendSearchText(std::string_view json, std::string* text);

// The query in SQLite's FTS5 syntax. InvalidArgument as Search::Find.
absl::StatusOr<std::string> MatchExpression(std::string_view query);

struct SearchRow {
  uint64_t sequence = 0;
  double rank = 0;
};

class SearchReader {
 public:
  static constexpr std::string_view kName = "search";
  static constexpr int kSchemaVersion = 1;
  static absl::StatusOr<SearchReader> Create(sqlite::Connection* database);

  absl::StatusOr<std::vector<SearchRow>> Find(const std::string& match, const SearchQuery& query);

 private:
  SearchReader() = default;
  std::optional<sqlite::Statement> find_;
};

// Where the words of a query are in a text: an index of that text alone.
class Snippets {
 public:
  static absl::StatusOr<Snippets> Create();

  struct Snippet {
    std::string field, text;
  };
  absl::StatusOr<Snippet> Of(const SearchTexts& texts, const std::string& match);

 private:
  explicit Snippets(sqlite::Connection database) : database_(std::move(database)) {}

  sqlite::Connection database_;
  std::optional<sqlite::Statement> clear_, insert_, select_;
};

}  // namespace nimbus::projections
