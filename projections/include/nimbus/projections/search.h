// Full-text search over what operations and steps were given and what came of it:
// inputs, outputs and errors.
//
//   NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<Search> search, Search::Open(&journal, {}));
//   NIMBUS_RETURN_IF_ERROR(search->CatchUp(60'000));
//   NIMBUS_ASSIGN_OR_RETURN(auto hits, search->Find({.text = "connection refused -retry"}));
//
// The index is a follower of the journal with its own file (search-<g>.db, the link
// search.db) and thread, apart from the views: who does not search does not pay for
// it. It is made and brought up to date while a Search is open, several processes may
// do so at once, and its files may be deleted at any time. It holds words and where
// they are, not the texts; those come from the journal.
//
// Indexed are the strings and numbers in the JSON of inputs and outputs, not the names
// of members, and the texts of errors: of each the first kSearchedBytesMax. Words are
// compared without case and accents.
//
// A query is words, all of which must be in one input, output or error together:
//   disk full          both words
//   "disk full"        next to each other
//   depl*              a word that begins so
//   -retry             not this one
//   error:timeout      in errors only; input: and output: likewise
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/projections/database.h"

namespace nimbus::projections {

inline constexpr size_t kSearchedBytesMax = 256 * 1024;

struct SearchQuery {
  std::string text;
  std::optional<schema::Uuid> session, operation;  // only in these
  uint64_t limit = 20;
  uint64_t offset = 0;
};

struct SearchHit {
  uint64_t sequence = 0;  // of the record whose text it is
  schema::Uuid operation;
  std::optional<schema::Uuid> step;  // unless it is the operation's own
  std::string field;                 // "input", "output" or "error"
  // Some words around the match, each matching word between kMatchBegin and kMatchEnd;
  // empty when the text was erased since.
  std::string snippet;
  double rank = 0;  // BM25: the less, the better
  std::optional<int64_t> time_us;
};

inline constexpr char kMatchBegin = '\x02';
inline constexpr char kMatchEnd = '\x03';

class Search {
 public:
  // Starts to bring the index up to date unless options.project is false. `journal`
  // outlives it. As Database::Open for the views.
  static absl::StatusOr<std::unique_ptr<Search>> Open(journal::Journal* journal,
                                                      const ViewsOptions& options);
  ~Search();
  Search(const Search&) = delete;
  Search& operator=(const Search&) = delete;

  // Waits until the index holds what the journal holds now. As Database::WaitFor.
  absl::Status CatchUp(int64_t timeout_ms);
  absl::StatusOr<ViewsStatus> GetStatus();

  // The best matches first; of equal ones the newest. InvalidArgument for a query
  // without words or with an open quote; NotFound when there is no index.
  absl::StatusOr<std::vector<SearchHit>> Find(const SearchQuery& query);

 private:
  class Rows;
  explicit Search(journal::Journal* journal);

  journal::Journal* const journal_;
  std::unique_ptr<Views> index_;
  std::unique_ptr<Rows> rows_;
};

}  // namespace nimbus::projections
