// The next generation of a journal, made while it is in use (compact.h, prune.h).
//
//   NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Compaction> next, Compaction::Begin(journal));
//   NIMBUS_ASSIGN_OR_RETURN(const CompactReport report, next->Run(options, filter));
#pragma once

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "copy.h"
#include "new_store.h"
#include "nimbus/journal/compact.h"
#include "replica.h"

namespace nimbus::journal {

class Compaction {
 public:
  // Nobody else compacts the journal until it is destroyed.
  static absl::StatusOr<std::unique_ptr<Compaction>> Begin(Journal* journal);

  uint64_t number() const { return made_.number(); }  // of the new generation

  // Once. `filter` is told of every entry, in order.
  absl::StatusOr<CompactReport> Run(const CompactOptions& options, JournalCopy::Filter filter);

 private:
  Compaction(Journal* journal, NewGeneration made) : journal_(*journal), made_(std::move(made)) {}
  absl::Status Complete(JournalCopy* copy);
  absl::Status Switch();

  Journal& journal_;
  NewGeneration made_;
  std::unique_ptr<Environment> next_;  // while it is filled
  std::optional<Replica> replica_;
  CompactReport report_;
};

}  // namespace nimbus::journal
