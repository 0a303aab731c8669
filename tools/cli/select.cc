#include "tools/cli/select.h"

#include <algorithm>
#include <iostream>
#include <vector>

#include "absl/strings/cord.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/status.h"
#include "tools/cli/terminal.h"

namespace nimbus::tools::cli {
namespace {

using schema::Error;
using schema::Uuid;
using schema::fb::EntityKind;
using Code = absl::StatusCode;

constexpr size_t kCandidatesShown = 5;
constexpr size_t kShortIdMin = 8;
constexpr char kAmbiguous[] = "nimbus.ambiguous";
constexpr size_t kNearIdMin = 5;  // characters that must be right
constexpr size_t kIdShownMax = 64;

// Walks back from the end of the journal to the creation of the operation that
// has `skip` newer ones.
absl::StatusOr<Uuid> NewestOperation(const journal::Journal& journal, size_t skip) {
  NIMBUS_ASSIGN_OR_RETURN(uint64_t sequence, journal.Size());
  journal::Reader reader(journal);
  const size_t wanted = skip;
  while (sequence-- > 0) {
    NIMBUS_ASSIGN_OR_RETURN(const journal::RecordView* view, reader.Read(sequence));
    if (view->record->event_type() != schema::fb::Event::OperationCreated) continue;
    if (skip-- == 0) return Uuid::FromFb(view->envelope().stream());
  }
  const size_t held = wanted - skip;
  if (held == 0) return Error(Code::kNotFound, "the journal holds no operation yet");
  return Error(Code::kNotFound, "the journal holds no more than {} operation{}", held,
               held == 1 ? "" : "s");
}

// What somebody meant who gave an id that is none: one that begins with as many of
// its digits as any does, and no less than a few.
absl::StatusOr<std::string> NearId(const journal::Journal& journal, EntityKind kind,
                                   std::string_view text) {
  for (size_t length = text.size(); length-- > kNearIdMin;) {
    const absl::StatusOr<std::vector<Uuid>> found =
        journal.FindEntitiesByPrefix(kind, text.substr(0, length), 1);
    if (absl::IsInvalidArgument(found.status())) continue;  // a letter that is no digit
    NIMBUS_RETURN_IF_ERROR(found.status());
    if (!found->empty()) return fmt::format("; did you mean {}?", found->front().ToString());
  }
  return std::string();
}

std::string WithHyphens(const std::string& uuid, size_t digits) {
  size_t length = 0;
  for (size_t seen = 0; length < uuid.size() && seen < digits; ++length) {
    if (uuid[length] != '-') ++seen;
  }
  return uuid.substr(0, length);
}

}  // namespace

absl::StatusOr<Uuid> SelectEntity(const journal::Journal& journal, EntityKind kind,
                                  std::string_view text) {
  if (!text.empty() && text.front() == '@') {
    const bool dashes = text.find_first_not_of('-', 1) == std::string_view::npos;
    if (!dashes) return Error(Code::kNotFound, "'{}' names nothing; '@' and '@-' do", text);
    if (kind != EntityKind::operation) {
      return Error(Code::kNotFound, "'{}' names an operation, not a {}", text,
                   schema::fb::EnumNameEntityKind(kind));
    }
    return NewestOperation(journal, text.size() - 1);
  }
  const char* noun = schema::fb::EnumNameEntityKind(kind);
  absl::StatusOr<std::vector<Uuid>> found =
      journal.FindEntitiesByPrefix(kind, text, kCandidatesShown + 1);
  // Hyphens count for nothing in an id, but nobody means one by -1.
  const bool no_id = text.empty() || text.front() == '-';
  if (no_id || absl::IsInvalidArgument(found.status()) || (found.ok() && found->empty())) {
    const std::string_view shown = text.substr(0, kIdShownMax);
    NIMBUS_ASSIGN_OR_RETURN(const std::string near, NearId(journal, kind, shown));
    return Error(Code::kNotFound, "no {} '{}'{}", noun, shown, near);
  }
  NIMBUS_RETURN_IF_ERROR(found.status());
  if (found->size() == 1) return found->front();
  std::string candidates;
  for (size_t i = 0; i < std::min(found->size(), kCandidatesShown); ++i) {
    candidates += "\n  " + (*found)[i].ToString();
  }
  if (found->size() > kCandidatesShown) candidates += "\n  …";
  absl::Status ambiguous = Error(Code::kNotFound, "'{}' is ambiguous:{}", text, candidates);
  ambiguous.SetPayload(kAmbiguous, absl::Cord());
  return ambiguous;
}

bool IsAmbiguous(const absl::Status& status) { return status.GetPayload(kAmbiguous).has_value(); }

absl::StatusOr<std::string> ShortId(const journal::Journal& journal, EntityKind kind,
                                    const Uuid& id) {
  const std::string text = id.ToString();
  for (size_t digits = kShortIdMin; digits < 32; ++digits) {
    std::string prefix = WithHyphens(text, digits);
    NIMBUS_ASSIGN_OR_RETURN(const std::vector<Uuid> found,
                            journal.FindEntitiesByPrefix(kind, prefix, 2));
    if (found.size() < 2) return prefix;
  }
  return text;
}

absl::StatusOr<std::string> ListedId(const journal::Journal& journal, EntityKind kind,
                                     const Uuid& id) {
  if (!IsTerminal(std::cout)) return id.ToString();
  return ShortId(journal, kind, id);
}

}  // namespace nimbus::tools::cli
