#include "nimbus/projections/search.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/status.h"
#include "search_rows.h"
#include "view_reader.h"

namespace nimbus::projections {
namespace {

namespace fb = schema::fb;
using schema::Uuid;

std::optional<Uuid> StepOf(const fb::Record& record) {
  const fb::Id* step = nullptr;
  if (const auto* e = record.event_as_StepAdded()) step = e->step();
  if (const auto* e = record.event_as_StepCompleted()) step = e->step();
  if (const auto* e = record.event_as_StepFailed()) step = e->step();
  if (const auto* e = record.event_as_StepCancelled()) step = e->step();
  if (const auto* e = record.event_as_StepAttemptFailed()) step = e->step();
  return step == nullptr ? std::nullopt : std::optional<Uuid>(Uuid::FromFb(*step));
}

// What the journal says of a row of the index.
absl::StatusOr<SearchHit> Read(const SearchRow& row, const std::string& match,
                               journal::Reader* reader, Snippets* snippets) {
  NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, reader->Read(row.sequence));
  SearchHit hit{.sequence = row.sequence,
                .operation = Uuid::FromFb(view->envelope().stream()),
                .step = StepOf(*view->record),
                .rank = row.rank,
                .time_us = schema::OccurredAt(*view->record)};
  const absl::StatusOr<const fb::Body*> body = reader->Body(*view);
  if (absl::IsNotFound(body.status())) return hit;  // erased
  NIMBUS_RETURN_IF_ERROR(body.status());
  NIMBUS_ASSIGN_OR_RETURN(Snippets::Snippet snippet, snippets->Of(TextsOf(*body), match));
  hit.field = std::move(snippet.field);
  hit.snippet = std::move(snippet.text);
  return hit;
}

}  // namespace

class Search::Rows : public ViewReader<SearchReader> {
 public:
  using ViewReader::ViewReader;
};

Search::Search(journal::Journal* journal) : journal_(journal) {}
Search::~Search() = default;

absl::StatusOr<std::unique_ptr<Search>> Search::Open(journal::Journal* journal,
                                                     const ViewsOptions& options) {
  std::unique_ptr<Search> search(new Search(journal));
  NIMBUS_ASSIGN_OR_RETURN(search->index_, Views::Open(journal, options, SearchLayout()));
  search->rows_ = std::make_unique<Rows>(search->index_.get());
  return search;
}

absl::Status Search::CatchUp(int64_t timeout_ms) { return index_->CatchUp(timeout_ms); }

absl::StatusOr<ViewsStatus> Search::GetStatus() { return index_->GetStatus(); }

absl::StatusOr<std::vector<SearchHit>> Search::Find(const SearchQuery& query) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string match, MatchExpression(query.text));
  NIMBUS_ASSIGN_OR_RETURN(const std::vector<SearchRow> rows, rows_->With([&](SearchReader& reader) {
    return reader.Find(match, query);
  }));
  NIMBUS_ASSIGN_OR_RETURN(Snippets snippets, Snippets::Create());
  journal::Reader reader(*journal_);
  std::vector<SearchHit> hits;
  for (const SearchRow& row : rows) {
    NIMBUS_ASSIGN_OR_RETURN(SearchHit hit, Read(row, match, &reader, &snippets));
    hits.push_back(std::move(hit));
  }
  return hits;
}

}  // namespace nimbus::projections
