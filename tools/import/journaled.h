// What the journal holds of a session or an operation, imported or recorded, in
// the form of run.h: what exports to other formats are made from. Ids stand
// where source ids do.
//
//   NIMBUS_ASSIGN_OR_RETURN(const Session session, ReadJournaledSession(journal, id));
//   for (const Operation& operation : session.operations) …
#pragma once

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/id.h"
#include "tools/import/run.h"

namespace nimbus::tools::import {

// With all its operations, in the order they were created. NotFound: no such
// session, or a body that was erased. DataLoss: the journal is damaged.
absl::StatusOr<Session> ReadJournaledSession(const journal::Journal& journal,
                                             const schema::Uuid& id);

// The session with this operation only.
absl::StatusOr<Session> ReadJournaledOperation(const journal::Journal& journal,
                                               const schema::Uuid& operation);

}  // namespace nimbus::tools::import
