// The records of a stream by its links alone, as an independent look at what
// StreamReader finds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {

// Sequences, oldest first, back from `head` (EntityState::head_sequence).
inline absl::StatusOr<std::vector<uint64_t>> StreamSequences(Reader* reader, uint64_t head) {
  std::vector<uint64_t> sequences;
  for (uint64_t sequence = head, previous = 0;; sequence = previous) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* view, reader->Read(sequence));
    sequences.push_back(sequence);
    previous = view->envelope().previous();
    if (previous == sequence) break;
    if (previous > sequence) return absl::DataLossError("a link leads forward");
  }
  std::reverse(sequences.begin(), sequences.end());
  return sequences;
}

}  // namespace nimbus::journal
