// How a person names an operation, a session, a checkpoint or a source: by the
// beginning of its id; "@" is the newest operation, "@-" the one before, "@--"
// the one before that.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"

namespace nimbus::tools::cli {

// NotFound when nothing matches, or more than one thing does: the message lists
// some of them, and IsAmbiguous is true.
absl::StatusOr<schema::Uuid> SelectEntity(const journal::Journal& journal,
                                          schema::fb::EntityKind kind, std::string_view text);

bool IsAmbiguous(const absl::Status& status);

// The shortest beginning of the id, of at least 8 digits, that names it.
absl::StatusOr<std::string> ShortId(const journal::Journal& journal, schema::fb::EntityKind kind,
                                    const schema::Uuid& id);

// The id as a listing shows it: short on a terminal, whole when piped.
absl::StatusOr<std::string> ListedId(const journal::Journal& journal, schema::fb::EntityKind kind,
                                     const schema::Uuid& id);

}  // namespace nimbus::tools::cli
